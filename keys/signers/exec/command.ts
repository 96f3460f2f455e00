import { isAbsolute } from 'node:path'
import { malformed } from '../reference.ts'

/** A program and what it is given after the word that says what to do. */
export type Command = { readonly program: string; readonly args: readonly string[] }

const ARGUMENT = 'arg'

/** `exec:/path/to/program?arg=A&arg=B`, percent-encoded. There is no shell, and PATH is not searched (ADR 0021). */
export function parseCommand(reference: string): Command {
  const [path = '', query, ...more] = reference.slice('exec:'.length).split('?')
  const program = decoded(path, reference)
  if (!isAbsolute(program)) throw malformed(reference, 'a program is named by its absolute path')
  if (more.length > 0) throw malformed(reference, 'it has two question marks; write %3F for one that is meant')
  const args = query === undefined ? [] : query.split('&').map((pair) => argumentOf(pair, reference))
  return { program, args }
}

function argumentOf(pair: string, reference: string): string {
  const at = pair.indexOf('=')
  if (pair.slice(0, at) !== ARGUMENT) throw malformed(reference, 'after the question mark belongs arg=..., joined by &')
  return decoded(pair.slice(at + 1), reference)
}

function decoded(text: string, reference: string): string {
  try {
    const plain = decodeURIComponent(text)
    if (!/\p{Cc}/u.test(plain)) return plain
  } catch {
    // said below
  }
  throw malformed(reference, 'its percent-encoding is none, or hides control characters')
}
