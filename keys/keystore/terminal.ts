import { openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { KeyError } from '../errors.ts'

/** A person who can be asked for a secret. */
export type Terminal = {
  /** The line typed, without its end, never shown. Throws PASSPHRASE_CANCELLED on Ctrl-C, or Ctrl-D on an empty line. */
  readonly ask: (prompt: string) => Promise<Uint8Array>
  readonly close: () => void
}

const ENTER = [0x0a, 0x0d]
const ERASE = [0x08, 0x7f]
const INTERRUPT = 0x03
const END = 0x04
const ERASE_LINE = 0x15
const MAX_LINE = 1024

/**
 * The controlling terminal, even where stdin and stdout are redirected; undefined where there is none.
 * The prompt goes to the terminal too: stdout is for results.
 */
export function openTerminal(): Terminal | undefined {
  const fd = openTty()
  if (fd === undefined) return undefined
  const input = new ReadStream(fd)
  return {
    ask: (prompt) => ask(input, fd, prompt),
    close() {
      input.setRawMode(false) // somebody may still be asked, by a run that a signal ended
      input.destroy()
    },
  }
}

function openTty(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined // no controlling terminal: a daemon, a pipeline
  }
}

function ask(input: ReadStream, fd: number, prompt: string): Promise<Uint8Array> {
  input.setRawMode(true) // before the prompt: who answers it at once must not see what is typed
  writeSync(fd, prompt)
  const line = new Line()
  return new Promise<Uint8Array>((resolve, reject) => {
    const settle = (): void => {
      input.off('data', onData).off('end', onEnd).pause()
      input.setRawMode(false)
      writeSync(fd, '\n')
    }
    const onEnd = (): void => {
      settle()
      line.take().fill(0)
      reject(new KeyError('PASSPHRASE_CANCELLED', { prompt: prompt.trim() }))
    }
    const onData = (chunk: Buffer): void => {
      const end = line.type(chunk)
      chunk.fill(0)
      if (end === 'cancelled') return onEnd()
      if (end === 'more') return
      settle()
      resolve(line.take())
    }
    input.on('data', onData).on('end', onEnd).resume()
  })
}

/** A line being typed, in bytes that can be wiped. */
export class Line {
  readonly #bytes = new Uint8Array(MAX_LINE)
  #length = 0

  /** Adds what was typed. What is typed after the end of a line, or beyond the buffer, is dropped. */
  type(chunk: Uint8Array): 'more' | 'done' | 'cancelled' {
    for (const byte of chunk) {
      if (ENTER.includes(byte)) return 'done'
      if (byte === INTERRUPT || (byte === END && this.#length === 0)) return 'cancelled'
      if (byte === END) return 'done'
      this.#edit(byte)
    }
    return 'more'
  }

  /** The line; it belongs to the caller now, who wipes it. */
  take(): Uint8Array {
    const line = this.#bytes.slice(0, this.#length)
    this.#wipe(0)
    return line
  }

  #edit(byte: number): void {
    if (ERASE.includes(byte)) this.#eraseCharacter()
    else if (byte === ERASE_LINE) this.#wipe(0)
    else if (byte >= 0x20 && this.#length < MAX_LINE) this.#bytes[this.#length++] = byte
  }

  /** A character is one byte, or a UTF-8 sequence whose later bytes are 10xxxxxx. */
  #eraseCharacter(): void {
    let start = this.#length - 1
    while (start > 0 && ((this.#bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1
    this.#wipe(Math.max(start, 0))
  }

  #wipe(start: number): void {
    this.#bytes.fill(0, start)
    this.#length = start
  }
}
