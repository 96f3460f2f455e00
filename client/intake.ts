/**
 * Large bodies past the HTTP parser: from the socket into two buffers that are used again and again.
 *
 * Node brings what arrives in new memory of 64 KiB, the parser copies that into new memory once more, and a stream wraps
 * each of those. For a layer that costs more than hashing it does (ADR 0041). The head of an answer is still Node's to
 * read, and nobody else's; only where that says how long the body is, and by nothing but a length, are its bytes taken here.
 */
import type { Agent, ClientRequestArgs, IncomingMessage } from 'node:http'
import type { OnReadOpts, Socket, TcpNetConnectOpts } from 'node:net'

/** What is copied by one trip to the kernel: at most, and with ever so many bodies under way. */
const LARGEST = 256 * 1024
const SMALLEST = 32 * 1024
/** What the buffers of all bodies of an agent take together, until each has the smallest. */
const MOST_BUFFERED = 16 * 1024 * 1024
/** With less room than that part of a buffer the next is read into: a trip should be worth its while. */
const LEAST = 1 / 4
/** One that arrives and one that is looked at; a third is there for what TLS hands over when it was told to stop. */
const MOST_BUFFERS = 2
/** For the heads of answers, and for bodies that are not taken. */
const HEAD = 16 * 1024

type Buffered = { readonly bytes: Buffer; used: number; taken: number }

type Intake = {
  readonly onread: OnReadOpts
  /** Whatever of this answer arrives after what is being read just now is not given to the parser any more. */
  readonly take: (incoming: IncomingMessage) => void
  /** What has arrived, as soon as there is something; good until the next call. Rejects once `fail` was called. */
  readonly next: (socket: Socket) => Promise<Uint8Array>
  readonly fail: (error: unknown) => void
}

const intakes = new WeakMap<object, Intake>()

/** Has each connection of this agent read by an intake of its own. */
export function readByIntakes(agent: Agent): void {
  const connect = agent.createConnection.bind(agent)
  const bodies = new Set<IncomingMessage>()
  const share = (incoming: IncomingMessage) => {
    bodies.add(incoming)
    incoming.once('close', () => bodies.delete(incoming))
    const part = Math.floor(MOST_BUFFERED / ((MOST_BUFFERS + 1) * bodies.size))
    return Math.min(Math.max(part, SMALLEST), LARGEST)
  }
  agent.createConnection = (options: ClientRequestArgs, callback) => {
    const intake = openIntake((bytes) => socket?.emit('data', bytes), share)
    const withIntake: ClientRequestArgs & Pick<TcpNetConnectOpts, 'onread'> = { ...options, onread: intake.onread }
    const socket = connect(withIntake, callback)
    if (socket) intakes.set(socket, intake)
    return socket
  }
}

/**
 * To be called while the head of the answer is being told. The body in chunks that are good until the next is asked for;
 * undefined where it is to be read as any other. Its connection is used again only where all of it came with its head.
 */
export function takeBody(incoming: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> | undefined {
  const intake = intakes.get(incoming.socket)
  const length = lengthOf(incoming)
  if (intake === undefined || length === undefined) return undefined
  intake.take(incoming)
  incoming.on('error', intake.fail)
  return chunksOf(incoming, intake, length)
}

/** Of a body that is what was asked for: refusals and redirections are small, and their connections wanted again. */
function lengthOf({ statusCode, headersDistinct }: IncomingMessage): number | undefined {
  if (statusCode !== 200 && statusCode !== 206) return undefined
  const [length = '', ...others] = headersDistinct['content-length'] ?? []
  if (headersDistinct['transfer-encoding'] !== undefined || others.length > 0) return undefined
  return /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined
}

async function* chunksOf(
  incoming: IncomingMessage,
  intake: Intake,
  length: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (incoming.complete) return yield* bytesOf(incoming) // the parser knows that, and the connection is used again
  try {
    let left = length
    const first: unknown = incoming.read() // it came with the head, and the parser has had it
    if (first instanceof Uint8Array) {
      left -= first.length
      yield first
    }
    while (left > 0) {
      const chunk = await intake.next(incoming.socket)
      const ours = chunk.subarray(0, left) // whatever follows is no part of it
      left -= ours.length
      yield ours
    }
  } finally {
    incoming.destroy()
  }
}

async function* bytesOf(incoming: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const part of incoming) if (part instanceof Uint8Array) yield part
}

function openIntake(pass: (bytes: Uint8Array) => void, share: (incoming: IncomingMessage) => number): Intake {
  const buffers: Buffered[] = []
  const free: Buffer[] = []
  const head = Buffer.allocUnsafeSlow(HEAD)
  let taking: IncomingMessage | undefined
  let size = 0
  let taken = false
  let failure: { readonly error: unknown } | undefined
  let wake = () => {}

  function landed(length: number): boolean {
    const last = buffers.at(-1)
    if (last === undefined) {
      pass(head.subarray(0, length))
      if (taking?.complete === false) {
        size = share(taking)
        taken = true
      }
      taking = undefined
      return !taken
    }
    last.used += length
    wake()
    return buffers.length < MOST_BUFFERS || hasRoom(last)
  }

  function room(): Buffer {
    if (!taken) return head
    const last = buffers.at(-1)
    if (last !== undefined && hasRoom(last)) return last.bytes.subarray(last.used)
    const bytes = free.pop() ?? Buffer.allocUnsafeSlow(size)
    buffers.push({ bytes, used: 0, taken: 0 })
    return bytes
  }

  /** The one after it is being read into by then: what the kernel was told cannot be taken back. */
  function letGo(): void {
    for (let first = buffers[0]; buffers.length > 1 && first?.taken === first?.used; first = buffers[0]) {
      const done = buffers.shift()
      if (done !== undefined && free.length < MOST_BUFFERS) free.push(done.bytes)
    }
  }

  return {
    onread: { buffer: room, callback: landed },
    take: (incoming) => void (taking = incoming),
    fail(error) {
      failure ??= { error }
      wake()
    },
    async next(socket) {
      for (;;) {
        letGo()
        const first = buffers[0]
        if (first !== undefined && first.taken < first.used) {
          const chunk = first.bytes.subarray(first.taken, first.used)
          first.taken = first.used
          return chunk
        }
        if (failure !== undefined) throw failure.error
        await new Promise<void>((resolve) => {
          wake = resolve
          socket.resume()
        })
      }
    },
  }
}

function hasRoom({ bytes, used }: Buffered): boolean {
  return bytes.length - used >= bytes.length * LEAST
}
