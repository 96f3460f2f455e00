import { statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { concat } from '../../bytes.ts'
import { KeyError } from '../../errors.ts'
import { SshReader, string, uint32 } from './wire.ts'

/**
 * The protocol of an ssh-agent (draft-ietf-sshm-ssh-agent): a frame is a length of four bytes and a body. A connection
 * for each question: an agent that misbehaves takes no later one along.
 */
const FAILURE = 5
const REQUEST_IDENTITIES = 11
const IDENTITIES = 12
const SIGN_REQUEST = 13
const SIGN_RESPONSE = 14

/** OpenSSH's own limit, for what it takes and for what it answers. */
const MAX_FRAME = 256 * 1024
const MOST_KEYS = 1024

export type Identity = { readonly blob: Uint8Array; readonly comment: string }

export const AGENT = 'the ssh-agent'

/** The keys that the agent has now. */
export async function identitiesOf(socket: string, signal: AbortSignal): Promise<readonly Identity[]> {
  const answer = await ask(socket, Uint8Array.of(REQUEST_IDENTITIES), signal)
  const reader = new SshReader(answer, unreadable)
  if (reader.byte() !== IDENTITIES) throw unreadable('it lists no keys')
  const count = reader.uint32()
  if (count > MOST_KEYS) throw unreadable(`it says that it has ${count} keys`)
  const keys = Array.from({ length: count }, () => ({ blob: reader.string(), comment: reader.text() }))
  reader.end()
  return keys
}

/** The signature blob, or undefined where the agent refuses: it has no such key, or its owner said no. */
export async function signatureOf(
  socket: string,
  { blob, payload }: { readonly blob: Uint8Array; readonly payload: Uint8Array },
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const request = concat(Uint8Array.of(SIGN_REQUEST), string(blob), string(payload), uint32(0))
  if (request.length > MAX_FRAME) throw failed(`${payload.length} bytes are more than an agent takes (256 KiB)`)
  const reader = new SshReader(await ask(socket, request, signal), unreadable)
  const type = reader.byte()
  if (type === FAILURE) return undefined
  if (type !== SIGN_RESPONSE) throw unreadable('it is neither a signature nor a refusal')
  const signature = reader.string()
  reader.end()
  return signature
}

function ask(socket: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  refuseForeign(socket)
  return new Promise((resolve, reject) => {
    const connection = createConnection({ path: socket })
    const parts: Uint8Array[] = []
    let length = 0
    const settle = (finish: () => void) => {
      signal.removeEventListener('abort', give)
      connection.destroy()
      finish()
    }
    const give = () => settle(() => reject(failed('nobody waits for it any more')))
    signal.addEventListener('abort', give, { once: true })
    let connected = false
    connection.on('connect', () => (connected = true))
    connection.on('error', (error: NodeJS.ErrnoException) =>
      settle(() => reject(connected ? failed(`it hung up (${error.code ?? 'unknown'})`) : unreachable(error))),
    )
    connection.on('close', () => settle(() => reject(failed('it hung up in the middle of an answer'))))
    connection.on('data', (part: Buffer) => {
      parts.push(part)
      length += part.length
      if (length < 4) return
      const whole = concat(...parts)
      const wanted = new SshReader(whole, unreadable).uint32()
      if (wanted > MAX_FRAME) return settle(() => reject(unreadable(`it has ${wanted} bytes`)))
      if (length >= 4 + wanted) settle(() => resolve(whole.subarray(4, 4 + wanted)))
    })
    connection.write(string(body))
  })
}

/** A socket that somebody left where this user's agent was expected would see what is signed, and choose the keys. */
function refuseForeign(socket: string): void {
  const stats = statSync(socket, { throwIfNoEntry: false })
  if (stats === undefined) throw unreachable({ code: 'ENOENT' })
  if (!stats.isSocket()) throw new KeyError('SIGNER_UNAVAILABLE', { signer: AGENT, why: `${socket} is no socket` })
  const me = process.geteuid?.()
  if (me === undefined || stats.uid === me) return
  throw new KeyError('SIGNER_UNAVAILABLE', {
    signer: AGENT,
    why: `its socket ${socket} belongs to user ${stats.uid}, and you are ${me}`,
  })
}

function unreachable(error: { readonly code?: string | undefined }): KeyError {
  const code = error.code ?? 'unknown'
  return new KeyError('SIGNER_UNAVAILABLE', { signer: AGENT, why: `nothing listens on SSH_AUTH_SOCK (${code})` })
}

function unreadable(why: string): KeyError {
  return failed(`its answer cannot be read: ${why}`)
}

function failed(why: string): KeyError {
  return new KeyError('SIGNER_FAILED', { signer: AGENT, why })
}
