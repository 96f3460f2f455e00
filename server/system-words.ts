/** What the system and SQLite say in codes. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'a part of its path is no folder'],
  ['EISDIR', 'it is a folder'],
  ['EACCES', 'this user may not open it'],
  ['EPERM', 'this user may not do that to it'],
  ['EROFS', 'its disk is mounted read-only'],
  ['EIO', 'its disk answers with an error'],
  ['EMFILE', 'this process has too many files open'],
  ['SQLITE_NOTADB', 'it is no database'],
  ['SQLITE_CORRUPT', 'it is damaged'],
  ['SQLITE_CANTOPEN', 'it cannot be opened'],
  ['SQLITE_READONLY', 'it cannot be written'],
  ['SQLITE_BUSY', 'another program works on it'],
  ['SQLITE_IOERR', 'its disk answers with an error'],
])

/** The code stays beside the words, for whoever looks for it. SQLite's may be longer ones: SQLITE_IOERR_WRITE. */
export function inWords(code: string): string {
  const words = WORDS.get(/^(?:SQLITE_[A-Z]+|.*)/.exec(code)?.[0] ?? code)
  return words === undefined ? code : `${words}, ${code}`
}
