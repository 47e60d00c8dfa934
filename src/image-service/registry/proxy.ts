/**
 * Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY with the meaning that they have for
 * Go's programs, so for the kubelet and for other runtimes on the node (golang.org/x/net/http/httpproxy):
 *
 *   HTTPS_PROXY is for https alone, HTTP_PROXY for http alone; the upper-case form comes first
 *   a value without a scheme is http://; a name and password in it are for the proxy
 *   NO_PROXY is a list with commas: a domain with its subdomains, .domain or *.domain for the subdomains
 *   alone, an address, a CIDR block, each with :port where only that is meant, or *
 *   localhost and loopback addresses never have a proxy
 */

import { BlockList, isIP } from 'node:net';
import { BerthError } from '../../errors/catalogue.ts';

export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Undefined: none. Rejects with CONFIG_INVALID, which names the variable and never its value: that may hold a password. */
export function proxyFor(url: URL, environment: ProxyEnvironment): URL | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = variable(environment, name);
  if (value === '' || isExempt(url, variable(environment, 'NO_PROXY'))) return undefined;
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy === undefined || (proxy.protocol !== 'http:' && proxy.protocol !== 'https:')) {
    throw new BerthError('CONFIG_INVALID', `the environment variable ${name} is not the http or https URL of a proxy`);
  }
  return proxy;
}

function variable(environment: ProxyEnvironment, name: string): string {
  const upper = environment[name] ?? '';
  return (upper === '' ? (environment[name.toLowerCase()] ?? '') : upper).trim();
}

function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '').toLowerCase();
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (host === 'localhost' || (isIP(host) !== 0 && inBlock(host, host.includes(':') ? '::1/128' : '127.0.0.0/8'))) return true;
  return list.split(',').some((entry) => exempts(entry.trim().toLowerCase(), host, port));
}

function exempts(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  if (entry.includes('/')) return isIP(host) !== 0 && inBlock(host, entry);
  const { name, only } = splitPort(entry);
  if (only !== undefined && only !== port) return false;
  if (isIP(name) !== 0) return isIP(host) !== 0 && inBlock(host, `${name}/${isIP(name) === 4 ? 32 : 128}`);
  if (name.startsWith('*.') || name.startsWith('.')) return host.endsWith(name.replace(/^\*/, ''));
  return host === name || host.endsWith(`.${name}`);
}

function splitPort(entry: string): { readonly name: string; readonly only: string | undefined } {
  if (isIP(entry) !== 0) return { name: entry, only: undefined };
  const [, name = entry, only] = /^(.*?)(?::([0-9]+))?$/.exec(entry) ?? [];
  return { name: name.replace(/^\[|\]$/g, ''), only };
}

/** An entry that is no block exempts nobody, as in Go. */
function inBlock(address: string, block: string): boolean {
  const [base = '', bits = ''] = block.split('/');
  const family = isIP(base);
  if (family === 0 || family !== isIP(address) || !/^[0-9]{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const name = family === 4 ? 'ipv4' : 'ipv6';
  const blocks = new BlockList();
  blocks.addSubnet(base, Number(bits), name);
  return blocks.check(address, name);
}
