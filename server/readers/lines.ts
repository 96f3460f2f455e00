/**
 * The plainest exchange between a reader and the main process: a request in one write, an answer of known length back
 * (ADR 0045). Node's client of HTTP is ready for anything, and takes longer for it than a publish waits for the disk.
 */
import { connect } from 'node:net'

/** As it came, but that its length is known. */
export type Answer = {
  readonly status: number
  readonly reason: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}
/** Exactly one of the two is called, unless the exchange was stopped. */
export type Asked = { readonly answered: (answer: Answer) => void; readonly failed: (cause: Error) => void }

export type Lines = {
  /** What it returns stops the exchange, which ends its connection. */
  readonly ask: (request: Buffer, asked: Asked) => () => void
  readonly close: () => void
}

export type LinesOptions = {
  readonly socketPath: string
  /** How many connections wait for the next exchange, and for how long each. */
  readonly most: number
  readonly idleMs: number
}

type Line = { readonly ask: Lines['ask']; readonly end: () => void }

export function makeLines({ socketPath, most, idleMs }: LinesOptions): Lines {
  const open = new Set<Line>()
  /** The one that was used last is used next, so that those too many go. */
  const idle: Line[] = []
  return {
    ask(request, asked) {
      const line = idle.pop() ?? openLine()
      return line.ask(request, asked)
    },
    close() {
      for (const line of open) line.end()
    },
  }

  function openLine(): Line {
    const socket = connect(socketPath).setTimeout(idleMs)
    let asked: Asked | undefined
    let reading = readingAnswer()
    let broken = new Error('the main process hung up')
    const line: Line = {
      ask(request, by) {
        asked = by
        reading = readingAnswer()
        socket.write(request)
        return () => {
          if (asked === by) line.end() // by now it may be somebody else's
        }
      },
      end() {
        asked = undefined
        socket.destroy()
      },
    }
    const idles = () => idle.indexOf(line)
    open.add(line)
    socket.on('data', (chunk) => {
      try {
        const answer = asked === undefined ? refuse('it answers what nobody asked') : reading(chunk)
        if (answer !== undefined) deliver(answer)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.on('timeout', () => {
      if (asked === undefined) socket.destroy()
    })
    socket.on('error', (error) => {
      broken = error
    })
    socket.on('close', () => {
      open.delete(line)
      if (idles() >= 0) idle.splice(idles(), 1)
      asked?.failed(broken)
    })
    return line

    function deliver(answer: Answer): void {
      const by = asked
      asked = undefined
      if (idle.length < most && !isLast(answer)) idle.push(line)
      else socket.destroy()
      by?.answered(answer)
    }
  }
}

function isLast({ headers }: Answer): boolean {
  return headers.some(([name, value]) => name.toLowerCase() === 'connection' && value === 'close')
}

const HEAD_END = '\r\n\r\n'
const STATUS = /^HTTP\/1\.1 ([2-5]\d\d) ([^\r\n]*)$/

/** Gives the answer with its last chunk. Throws for what the main process does not say to an upload. */
function readingAnswer(): (chunk: Buffer) => Answer | undefined {
  let got: Buffer[] = []
  let size = 0
  let head: Omit<Answer, 'body'> | undefined
  let length = 0
  return (chunk) => {
    got.push(chunk)
    size += chunk.length
    if (head === undefined) {
      const bytes = Buffer.concat(got)
      const end = bytes.indexOf(HEAD_END)
      if (end < 0) return undefined
      head = readHead(bytes.toString('latin1', 0, end))
      length = lengthOf(head)
      got = [bytes.subarray(end + HEAD_END.length)]
      size = bytes.length - end - HEAD_END.length
    }
    if (size > length) refuse('its answer is longer than it says')
    return size < length
      ? undefined
      : { ...head, body: got.length === 1 && got[0] !== undefined ? got[0] : Buffer.concat(got) }
  }
}

function readHead(text: string): Omit<Answer, 'body'> {
  const [first = '', ...lines] = text.split('\r\n')
  const [, status, reason = ''] = STATUS.exec(first) ?? refuse('its answer is no HTTP')
  const headers = lines.map((line) => {
    const at = line.indexOf(':')
    return [line.slice(0, at), line.slice(at + 1).trim()] as const
  })
  return { status: Number(status), reason, headers }
}

function lengthOf({ headers }: Omit<Answer, 'body'>): number {
  const [, length = ''] = headers.find(([name]) => name.toLowerCase() === 'content-length') ?? []
  return /^\d{1,15}$/.test(length) ? Number(length) : refuse('its answer has no length')
}

function refuse(why: string): never {
  throw new Error(`the main process is not understood: ${why}`)
}
