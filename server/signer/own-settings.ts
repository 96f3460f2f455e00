/** What a signer can be told and a server cannot. */
export const SIGNERS_OWN = {
  socketMode: {
    kind: 'text',
    about: 'who may use the socket: 0600 its owner, 0660 its group',
    default: '0600',
    choices: ['0600', '0660'],
  },
  clientCa: { kind: 'text', about: 'authority (PEM) of the certificates of those who may ask' },
  maxKeys: { kind: 'number', about: 'keys in all', default: 100_000, min: 1, max: 10_000_000 },
  maxKeysPerRole: { kind: 'number', about: 'keys for one role of one repository', default: 64, min: 1, max: 10_000 },
  versionBurst: {
    kind: 'number',
    about: 'versions that a role may go up at once',
    default: 10_000,
    min: 1,
    max: 1_000_000,
  },
  versionRate: { kind: 'number', about: 'versions that a role may go up in a second', default: 10, min: 1, max: 1000 },
  maxAtOnce: {
    kind: 'number',
    about: 'requests that are being received or answered, in bytes',
    default: 256 * 1024 * 1024,
    min: 1024,
    max: 2 ** 50,
  },
} as const
