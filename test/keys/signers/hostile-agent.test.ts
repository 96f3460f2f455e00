/** Whatever sits behind SSH_AUTH_SOCK, nothing it answers is used unless the key that was named signed it. */
import { generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { chownSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { string, uint32 } from '../../../keys/signers/ssh/wire.ts'
import { privateFolder } from '../../support/secrets.ts'
import { openSigning } from '../../support/signing.ts'

const PAYLOAD = Buffer.from('{"_type":"root"}')
const OWN = generateKeyPairSync('ed25519').privateKey
const OTHER = generateKeyPairSync('ed25519').privateKey
const LIST = 11

type Behaviour = (request: number, answer: (body: Uint8Array) => void, socket: Socket) => void

const frame = (body: Uint8Array) => string(body)
const rawPublic = (key: KeyObject) => Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')
const blobOf = (key: KeyObject) => Buffer.concat([string('ssh-ed25519'), string(rawPublic(key))])
const listOf = (...keys: readonly Uint8Array[]) =>
  Buffer.concat([Buffer.of(12), uint32(keys.length), ...keys.flatMap((key) => [string(key), string('release')])])
const signatureBy = (key: KeyObject, payload: Uint8Array = PAYLOAD) => signedAs('ssh-ed25519', sign(null, payload, key))
const signedAs = (kind: string, signature: Uint8Array) =>
  Buffer.concat([Buffer.of(14), string(Buffer.concat([string(kind), string(signature)]))])

/** An agent that lists the key honestly, and answers to a request for a signature as the case says. */
function signing(answer: Uint8Array): Behaviour {
  return (request, reply) => reply(request === LIST ? listOf(blobOf(OWN)) : answer)
}

const CASES: Record<string, { behaves: Behaviour; code: string; whilst: 'finding' | 'signing' }> = {
  'the signature of another key': { behaves: signing(signatureBy(OTHER)), code: 'SIGNATURE_WRONG', whilst: 'signing' },
  'its own signature over something else': {
    behaves: signing(signatureBy(OWN, Buffer.from('{"_type":"targets"}'))),
    code: 'SIGNATURE_WRONG',
    whilst: 'signing',
  },
  'sixty-four zeros': {
    behaves: signing(signedAs('ssh-ed25519', new Uint8Array(64))),
    code: 'SIGNATURE_WRONG',
    whilst: 'signing',
  },
  'a signature of no bytes': {
    behaves: signing(signedAs('ssh-ed25519', new Uint8Array())),
    code: 'SIGNATURE_WRONG',
    whilst: 'signing',
  },
  'a signature of another kind': {
    behaves: signing(signedAs('ssh-rsa', new Uint8Array(64))),
    code: 'SIGNER_FAILED',
    whilst: 'signing',
  },
  'a refusal': { behaves: signing(Buffer.of(5)), code: 'SIGNER_FAILED', whilst: 'signing' },
  'another answer than one to sign': { behaves: signing(listOf()), code: 'SIGNER_FAILED', whilst: 'signing' },
  'an answer that is cut short': {
    behaves: signing(signatureBy(OWN).subarray(0, 40)),
    code: 'SIGNER_FAILED',
    whilst: 'signing',
  },
  'an answer with something after it': {
    behaves: signing(Buffer.concat([signatureBy(OWN), Buffer.of(0)])),
    code: 'SIGNER_FAILED',
    whilst: 'signing',
  },
  'an empty answer': { behaves: signing(new Uint8Array()), code: 'SIGNER_FAILED', whilst: 'signing' },
  silence: {
    behaves: (request, reply) => (request === LIST ? reply(listOf(blobOf(OWN))) : undefined),
    code: 'SIGNER_TIMEOUT',
    whilst: 'signing',
  },
  'a byte at a time, for ever': {
    behaves: (request, reply, socket) => (request === LIST ? reply(listOf(blobOf(OWN))) : drip(socket)),
    code: 'SIGNER_TIMEOUT',
    whilst: 'signing',
  },
  'half an answer, and then it dies': {
    behaves(request, reply, socket) {
      if (request === LIST) return reply(listOf(blobOf(OWN)))
      socket.end(frame(signatureBy(OWN)).subarray(0, 30))
    },
    code: 'SIGNER_FAILED',
    whilst: 'signing',
  },
  'nothing but a hangup': {
    behaves: (_request, _reply, socket) => socket.destroy(),
    code: 'SIGNER_FAILED',
    whilst: 'finding',
  },
  'a length of four gigabytes': {
    behaves: (_request, _reply, socket) => socket.write(Buffer.alloc(4, 0xff)),
    code: 'SIGNER_FAILED',
    whilst: 'finding',
  },
  'a flood': { behaves: (_request, _reply, socket) => flood(socket), code: 'SIGNER_FAILED', whilst: 'finding' },
  'a billion keys': {
    behaves: (_request, reply) => reply(Buffer.concat([Buffer.of(12), uint32(1_000_000_000)])),
    code: 'SIGNER_FAILED',
    whilst: 'finding',
  },
  'two keys under the comment of one': {
    behaves: (_request, reply) => reply(listOf(blobOf(OTHER), blobOf(OWN))),
    code: 'KEY_AMBIGUOUS',
    whilst: 'finding',
  },
  'a key that is no point of its curve': {
    behaves: (_request, reply) => reply(listOf(Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(32, 2))]))),
    code: 'KEY_MALFORMED',
    whilst: 'finding',
  },
  'a key of small order': {
    behaves: (_request, reply) => reply(listOf(Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(32))]))),
    code: 'KEY_WEAK',
    whilst: 'finding',
  },
  'a FIDO key': {
    behaves: (_request, reply) =>
      reply(listOf(Buffer.concat([string('sk-ssh-ed25519@openssh.com'), string(rawPublic(OWN)), string('ssh:')]))),
    code: 'SIGNER_UNFIT',
    whilst: 'finding',
  },
  'a certificate': {
    behaves: (_request, reply) => reply(listOf(string('ssh-ed25519-cert-v01@openssh.com'))),
    code: 'SIGNER_UNFIT',
    whilst: 'finding',
  },
}

for (const [name, { behaves, code, whilst }] of Object.entries(CASES)) {
  await t.test(`an agent that answers with ${name}: ${code}`, async (t) => {
    const socket = await hostileAgent(t, behaves)
    const patient = openSigning(t, { env: { SSH_AUTH_SOCK: socket } })
    if (whilst === 'finding') return void (await t.rejects(patient.find('ssh:release'), { code }))
    const { id } = await patient.importReference('ssh:release', undefined)
    const hurried = code === 'SIGNER_TIMEOUT' ? { milliseconds: 400 } : {}
    const keys = openSigning(t, { dir: patient.dir, env: { SSH_AUTH_SOCK: socket }, ...hurried })
    await t.rejects((await keys.open(id)).sign(PAYLOAD), { code })
  })
}

await t.test('an honest one signs, so that the others fail for what they do', async (t) => {
  const keys = openSigning(t, { env: { SSH_AUTH_SOCK: await hostileAgent(t, signing(signatureBy(OWN))) } })
  t.equal((await (await keys.open('ssh:release')).sign(PAYLOAD)).length, 64)
})

await t.test(
  'the socket of somebody else is not spoken to',
  { skip: process.getuid?.() !== 0 && 'only root can make one' },
  async (t) => {
    let asked = 0
    const socket = await hostileAgent(t, (_request, reply) => {
      asked += 1
      reply(listOf(blobOf(OTHER)))
    })
    chownSync(socket, 65534, 65534)
    const keys = openSigning(t, { env: { SSH_AUTH_SOCK: socket } })
    await t.rejects(keys.find('ssh:release'), { code: 'SIGNER_UNAVAILABLE', message: /belongs to user 65534/ })
    t.equal(asked, 0)
  },
)

async function hostileAgent(t: Test, behaves: Behaviour): Promise<string> {
  const path = join(privateFolder(t), 'agent')
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    const parts: Buffer[] = []
    socket.on('error', () => socket.destroy())
    socket.on('data', (part: Buffer) => {
      parts.push(part)
      const whole = Buffer.concat(parts)
      if (whole.length < 5 || whole.length < 4 + whole.readUInt32BE(0)) return
      parts.length = 0
      behaves(whole[4] ?? 0, (body) => socket.write(frame(body)), socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return path
}

function drip(socket: Socket): void {
  socket.write(uint32(1000))
  const timer = setInterval(() => socket.write(Buffer.of(0)), 20)
  socket.on('close', () => clearInterval(timer))
}

function flood(socket: Socket): void {
  const part = Buffer.alloc(64 * 1024, 0x41)
  const more = () => {
    while (!socket.destroyed && socket.write(part));
  }
  socket.on('drain', more)
  more()
}
