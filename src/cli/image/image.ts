/** `berth image`: what a node has of images, through berthd. */
import { parseArgs } from 'node:util';
import { connectBerth, connectionOptions } from '../berth-client.ts';
import type { Command } from '../command.ts';
import { imageCommands, imageFlags } from './commands.ts';

const width = Math.max(...Object.values(imageCommands).map(({ usage }) => usage.length));

const help = `Usage: berth image COMMAND [flags] [--listen unix://PATH] [--config FILE]

${Object.values(imageCommands).map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}\n`).join('')}
REF is a name in any form, an id, or the beginning of one. Archives may be in gzip
or zstd. An archive that --name is given for must hold one image, or bare tags.
Exit status: 0, 1 when berthd refuses or a layer is bad, 2 for wrong usage.
`;

const usageError = 2;

export const imageCommand: Command = {
  name: 'image',
  summary: 'list, pull, push, inspect, tag, remove, verify, import and export images',
  help,
  async run(args, output) {
    const [name = '', ...rest] = args;
    const command = Object.hasOwn(imageCommands, name) ? imageCommands[name] : undefined;
    if (command === undefined) {
      output.complain(name === '' ? help : `berth image: there is no command ${name}; berth image --help lists them\n`);
      return usageError;
    }
    const { values, positionals } = parseArgs({ args: rest, options: { ...connectionOptions, ...imageFlags }, allowPositionals: true });
    const [least, most] = command.names;
    if (positionals.length < least || positionals.length > most) {
      output.complain(`Usage: berth image ${command.usage}\n`);
      return usageError;
    }
    const client = await connectBerth(values);
    try {
      return await command.run({ client, output, names: positionals, flags: values });
    } finally {
      client.close();
    }
  },
};
