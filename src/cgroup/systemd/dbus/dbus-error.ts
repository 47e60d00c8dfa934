/** What a peer answered, or what is wrong with the conversation. `dbusName` is the error's name in the former case. */
export class DbusError extends Error {
  readonly dbusName: string;

  constructor(message: string, dbusName = '', options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'DbusError';
    this.dbusName = dbusName;
  }
}
