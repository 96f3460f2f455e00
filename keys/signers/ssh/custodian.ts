import { isKeyError, KeyError } from '../../errors.ts'
import type { Computation, PublicMaterial } from '../../signer.ts'
import { checkedSigner } from '../checked.ts'
import type { Custodian, FoundKey, Surroundings, UnfitKey } from '../custodian.ts'
import { patiently } from '../patience.ts'
import { malformed } from '../reference.ts'
import { AGENT, identitiesOf, signatureOf } from './agent.ts'
import type { Identity } from './agent.ts'
import { fingerprint, readKeyBlob, readSignatureBlob, writeKeyBlob } from './key-blob.ts'

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/
const LIST_MS = 10_000

/** The keys of the agent in SSH_AUTH_SOCK: `ssh:SHA256:...`, or `ssh:` and the comment of a key. */
export function openSshAgent(surroundings: Surroundings): Custodian {
  const { env, say, signal, milliseconds } = surroundings
  const waiting = { signer: AGENT, say, ...(signal !== undefined && { signal }) }

  return {
    async find(reference) {
      const wanted = wantedOf(reference)
      if (wanted === '') throw malformed(reference, 'it says neither a fingerprint nor a comment')
      const [key, ...more] = await fitting(wanted)
      if (key === undefined) throw new KeyError('KEY_NOT_FOUND', { wanted: reference, where: AGENT, among: 'ssh:' })
      if (more.length > 0) throw new KeyError('KEY_AMBIGUOUS', { wanted: reference, ids: [key, ...more].map(printOf) })
      return fit(key)
    },
    list: async (reference) => (await fitting(wantedOf(reference))).map(fitOrNot),
    async open(_reference, material) {
      return checkedSigner({
        public: material,
        signer: AGENT,
        sign: (payload, computation) => sign(material, payload, computation),
      })
    },
    async generate(reference) {
      throw new KeyError('SIGNER_UNFIT', { key: reference, why: 'an agent makes no keys; ssh-keygen does' })
    },
    close: async () => undefined,
  }

  async function fitting(wanted: string): Promise<readonly Identity[]> {
    const keys = await identities()
    if (wanted === '') return keys
    return keys.filter(({ blob, comment }) => comment === wanted || fingerprint(blob) === wanted)
  }

  function identities(): Promise<readonly Identity[]> {
    const wait = {
      ...waiting,
      asking: 'it is to list its keys',
      milliseconds: Math.min(LIST_MS, milliseconds ?? LIST_MS),
    }
    return patiently(wait, (signal) => identitiesOf(socketOf(env), signal))
  }

  async function sign(material: PublicMaterial, payload: Uint8Array, computation: Computation): Promise<Uint8Array> {
    if (computation === 'ecdsa-p384-sha256' || computation === 'ecdsa-p521-sha256')
      throw unfit('an agent signs on P-384 with SHA-384 and on P-521 with SHA-512, and Notary v1 with SHA-256')
    const blob = writeKeyBlob(material)
    if (blob === undefined) throw unfit('no agent signs with it')
    const wait = { ...waiting, asking: 'touch or confirm the key', ...(milliseconds !== undefined && { milliseconds }) }
    const answer = await patiently(wait, (signal) => signatureOf(socketOf(env), { blob, payload }, signal))
    if (answer !== undefined) return readSignatureBlob(answer, material.algorithm, unreadable)
    const isThere = (await identities()).some((key) => fingerprint(key.blob) === fingerprint(blob))
    throw new KeyError('SIGNER_FAILED', {
      signer: AGENT,
      why: isThere ? 'it refused: locked, or not confirmed' : `it has no key ${fingerprint(blob)} (ssh-add -l)`,
    })
  }
}

function socketOf(env: Surroundings['env']): string {
  const socket = env['SSH_AUTH_SOCK'] ?? ''
  if (socket !== '') return socket
  throw new KeyError('SIGNER_UNAVAILABLE', { signer: AGENT, why: 'SSH_AUTH_SOCK names none' })
}

function wantedOf(reference: string): string {
  const wanted = reference.slice('ssh:'.length)
  if (wanted.startsWith('SHA256:') && !FINGERPRINT.test(wanted)) {
    throw malformed(reference, 'its fingerprint is not as ssh-add -l prints it')
  }
  return wanted
}

function fit({ blob, comment }: Identity): FoundKey {
  const print = fingerprint(blob)
  const label = comment === '' ? print : comment
  return { reference: `ssh:${print}`, public: readKeyBlob(blob, `${label} (${AGENT})`), label, asks: false }
}

function fitOrNot(identity: Identity): FoundKey | UnfitKey {
  try {
    return fit(identity)
  } catch (error) {
    if (!isKeyError(error)) throw error
    const why = 'why' in error.detail ? error.detail.why : error.message
    return { label: identity.comment === '' ? fingerprint(identity.blob) : identity.comment, why }
  }
}

function printOf({ blob }: Identity): string {
  return `ssh:${fingerprint(blob)}`
}

function unreadable(why: string): KeyError {
  return new KeyError('SIGNER_FAILED', { signer: AGENT, why: `its signature cannot be read: ${why}` })
}

function unfit(why: string): KeyError {
  return new KeyError('SIGNER_UNFIT', { key: 'this key', why })
}
