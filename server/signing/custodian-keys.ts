import type { OnlineRole } from '../../keys/online.ts'
import { isKeyError } from '../../keys/errors.ts'
import { readPublicKey, signAs } from '../../keys/public-key.ts'
import type { Algorithm, Signer } from '../../keys/signer.ts'
import type { Custodian, FoundKey, Surroundings } from '../../keys/signers/custodian.ts'
import { openCustodian } from '../../keys/signers/custodians.ts'
import type { OnlineKeyRecord } from '../storage/store.ts'
import type { KeyHolder } from './holder.ts'
import { KEY_NAMES, newLabel } from './key-names.ts'

export type CustodianOptions = {
  readonly kind: 'pkcs11' | 'exec'
  /** `pkcs11:token=...`, `exec:/program`. */
  readonly place: string
  readonly algorithm: Algorithm
  /** The program has one key for everybody, and makes none. */
  readonly shared: boolean
  readonly surroundings: Surroundings
}

/** Opened keys that are kept; all are opened anew when there are more. */
const MOST_OPEN = 1000
const UNREACHED = 'its signing keys cannot be used'
/** What a token answers that was drawn out, or lost its sessions: another session may go on. */
const LOST = /CKR_(?:SESSION|DEVICE|TOKEN_NOT|USER_NOT_LOGGED|OBJECT_HANDLE|KEY_HANDLE|CRYPTOKI_NOT)/

/** Keys on a token, or behind a program that somebody wrote. */
export function custodianKeys({ kind, place, algorithm, shared, surroundings }: CustodianOptions): KeyHolder {
  const names = KEY_NAMES[kind]
  const signers = new Map<string, Promise<Signer>>()
  let custodian: Promise<Custodian> | undefined
  let failed = false
  const opened = () => (custodian ??= openCustodian(kind, surroundings))

  return {
    holds: ({ signer }) => signer !== undefined && names.again(place, signer) !== undefined,
    async make(purpose) {
      const { found, label } = await made(purpose)
      return { public: found.public, signer: names.kept(found, label) }
    },
    async sign(record, { key, codec, body }) {
      try {
        const signature = await renewing(async () => signAs(key, await signerOf(record), codec.encode(body)))
        failed = false
        return signature
      } catch (error) {
        failed = true
        throw error
      }
    },
    async notReady() {
      if (kind === 'exec') return failed ? UNREACHED : undefined // what it can do shows when it does it
      try {
        const nothing = names.fresh(place, 'readiness')
        await renewing(async () => (await opened()).list(nothing))
        return undefined
      } catch (error) {
        if (!isKeyError(error)) throw error
        return UNREACHED
      }
    },
    close: forget,
  }

  async function made(purpose: OnlineRole): Promise<{ found: FoundKey; label: string }> {
    if (shared) return { found: await (await opened()).find(place), label: '' }
    const label = newLabel(purpose)
    const found = await renewing(async () => (await opened()).generate(names.fresh(place, label), algorithm))
    return { found, label }
  }

  function signerOf(record: OnlineKeyRecord): Promise<Signer> {
    const name = `${record.keyid} ${record.signer}`
    const known = signers.get(name)
    if (known !== undefined) return known
    if (signers.size >= MOST_OPEN) signers.clear()
    const opening = open(record)
    signers.set(name, opening)
    opening.catch(() => signers.delete(name)) // it is for the one who waits to say why
    return opening
  }

  async function open(record: OnlineKeyRecord): Promise<Signer> {
    const reference = names.again(place, record.signer ?? '') ?? place
    return (await opened()).open(reference, readPublicKey(record))
  }

  /** Once more with everything opened anew, where the token says that it knows nothing of what was open. */
  async function renewing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isKeyError(error) || error.code !== 'SIGNER_FAILED' || !LOST.test(error.detail.why)) throw error
      await forget()
      return work()
    }
  }

  async function forget(): Promise<void> {
    const last = custodian
    custodian = undefined
    signers.clear()
    if (last !== undefined) await (await last).close()
  }
}
