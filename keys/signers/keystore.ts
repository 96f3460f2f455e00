import { isKeyError, KeyError } from '../errors.ts'
import { isMeant, oldestFirst } from '../keystore/file.ts'
import { keyInfo } from '../keystore/key-file.ts'
import type { KeyInfo, Keystore } from '../keystore/keystore.ts'
import { writePem } from '../pem.ts'
import type { Algorithm } from '../signer.ts'
import type { Custodian, FoundKey, Surroundings, UnfitKey } from './custodian.ts'
import { openCustodian } from './custodians.ts'
import { isReference, kindOf } from './reference.ts'
import type { SignerKind } from './reference.ts'
import { openReferences, referencedKey } from './stored.ts'
import type { ReferencedKey } from './stored.ts'

export type SigningOptions = Surroundings & {
  /** The folder of the file keystore. */
  readonly dir: string
  readonly clock: () => number
}

/**
 * A keystore whose keys may be anywhere: in its files, or where a stored reference says. `wanted` may be a reference too
 * (`ssh:...`, `pkcs11:...`, `exec:...`); a key that was named so counts as a key of this machine until it is closed.
 */
export type SigningKeystore = Keystore & {
  /** Stores where a key is. Throws KEY_EXISTS, and whatever the signer says. */
  readonly importReference: (reference: string, name: string | undefined) => Promise<KeyInfo>
  /** Makes a key that never leaves its token, and stores where it is. */
  readonly generateAt: (reference: string, algorithm: Algorithm, name: string | undefined) => Promise<KeyInfo>
  /** What an agent, a token or a program has to offer. */
  readonly offered: (reference: string) => Promise<readonly (OfferedKey | UnfitKey)[]>
  /** A key that is kept here: one that a reference only names is none. Throws KEY_NOT_FOUND. */
  readonly findKept: (wanted: string) => Promise<KeyInfo>
  readonly close: () => Promise<void>
}

export type OfferedKey = FoundKey & { readonly id: string }

export function withSigners(files: Keystore, options: SigningOptions): SigningKeystore {
  const { dir, clock } = options
  const references = openReferences(dir)
  const custodians = new Map<SignerKind, Promise<Custodian>>()
  /** Named by a reference in this run, by key id. */
  const named = new Map<string, ReferencedKey>()

  return {
    ...files,
    async list() {
      return oldestFirst([...(await files.list()), ...(await references.list())])
    },
    async survey() {
      const [stored, referenced] = [await files.survey(), await references.survey()]
      return { keys: oldestFirst([...stored.keys, ...referenced.keys]), bad: [...stored.bad, ...referenced.bad] }
    },
    async index() {
      const [stored, referenced] = await Promise.all([files.index(), references.usable()])
      const here = new Set([...stored, ...referenced].map(({ id }) => id))
      return [...stored, ...referenced, ...[...named.values()].filter(({ id }) => !here.has(id))]
    },
    find: async (wanted) => (await elsewhere(wanted)) ?? files.find(wanted),
    async open(wanted) {
      const key = await elsewhere(wanted)
      if (key === undefined) return files.open(wanted)
      return (await custodianOf(key.signer)).open(key.signer, key.public)
    },
    async exportPublic(wanted) {
      const key = await elsewhere(wanted)
      return key === undefined ? files.exportPublic(wanted) : writePem('PUBLIC KEY', key.public.spki)
    },
    async exportPrivate(wanted, next) {
      refuseElsewhere(await elsewhere(wanted))
      return files.exportPrivate(wanted, next)
    },
    async exportShares(wanted, splitting) {
      refuseElsewhere(await elsewhere(wanted))
      return files.exportShares(wanted, splitting)
    },
    async passwd(wanted, next) {
      refuseElsewhere(await elsewhere(wanted))
      return files.passwd(wanted, next)
    },
    findKept,
    async remove(wanted) {
      const { id, signer } = await findKept(wanted)
      if (signer === undefined) return files.remove(id)
      const key = await keptReference(id)
      await references.remove(id)
      return key
    },
    async importReference(reference, name) {
      const found = await (await custodianOf(reference)).find(reference)
      return await store(found, name)
    },
    async generateAt(reference, algorithm, name) {
      const made = await (await custodianOf(reference)).generate(reference, algorithm)
      return await store(made, name)
    },
    async offered(reference) {
      const keys = await (await custodianOf(reference)).list(reference)
      return keys.map((key) => ('why' in key ? key : { ...key, id: infoOf(key, undefined).id }))
    },
    async close() {
      const opened = await Promise.all(custodians.values())
      custodians.clear()
      for (const custodian of opened) await custodian.close()
    },
  }

  async function findKept(wanted: string): Promise<KeyInfo> {
    const key = await elsewhere(wanted)
    return key === undefined ? await files.find(wanted) : await keptReference(key.id, wanted)
  }

  async function keptReference(id: string, wanted = id): Promise<ReferencedKey> {
    const kept = (await references.usable()).find((key) => key.id === id)
    if (kept === undefined) throw new KeyError('KEY_NOT_FOUND', { wanted, where: dir })
    return kept
  }

  function custodianOf(reference: string): Promise<Custodian> {
    const kind = kindOf(reference)
    const custodian = custodians.get(kind) ?? openCustodian(kind, options)
    custodians.set(kind, custodian)
    return custodian
  }

  async function store(found: FoundKey, name: string | undefined): Promise<KeyInfo> {
    const key = infoOf(found, name)
    const stored = await files.index()
    if (stored.some(({ id }) => id === key.id)) throw new KeyError('KEY_EXISTS', { id: key.id, path: dir })
    await references.store(key)
    return key
  }

  /** A key that is in no file; undefined where only a file can have it. */
  async function elsewhere(wanted: string): Promise<ReferencedKey | undefined> {
    if (isReference(wanted)) return await nameKey(wanted)
    const fits = [...(await references.usable()), ...named.values()].filter((key) => isMeant(wanted, key))
    const [found] = fits
    if (found === undefined) return undefined
    const inFile = await inFiles(wanted)
    if (inFile?.id === wanted) return undefined
    const ids = new Set([...fits, ...(inFile === undefined ? [] : [inFile])].map(({ id }) => id))
    if (ids.size > 1) throw new KeyError('KEY_AMBIGUOUS', { wanted, ids: [...ids] })
    return found
  }

  async function nameKey(reference: string): Promise<ReferencedKey> {
    const found = await (await custodianOf(reference)).find(reference)
    const key = infoOf(found, undefined)
    named.set(key.id, key)
    return key
  }

  async function inFiles(wanted: string): Promise<KeyInfo | undefined> {
    try {
      return await files.find(wanted)
    } catch (error) {
      if (isKeyError(error) && error.code === 'KEY_NOT_FOUND') return undefined
      throw error
    }
  }

  function infoOf(found: FoundKey, name: string | undefined): ReferencedKey {
    const facts = { encrypted: found.asks, now: clock(), ...(name !== undefined && { name }) }
    return referencedKey(keyInfo(found.public, facts), found.reference)
  }
}

function refuseElsewhere(key: ReferencedKey | undefined): void {
  if (key !== undefined) throw new KeyError('KEY_ELSEWHERE', { id: key.id, signer: key.signer })
}
