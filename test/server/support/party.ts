import { nativeSuite } from '../../../keys/native/suite.ts'
import { generateKey } from '../../../keys/native/generate.ts'
import type { Signer } from '../../../keys/signer.ts'
import { toTufFields } from '../../../keys/tuf-key.ts'
import {
  firstRoot,
  firstTargets,
  nextRoot,
  nextTargets,
  tufCodec,
  type Delegations,
  type Metadata,
  type PublicKey,
  type Root,
  type RootKeys,
  type TargetFile,
  type Targets,
} from '../../../tuf/index.ts'

/** A key with the id that TUF 1.0 gives it. */
export type TestKey = { readonly signer: Signer; readonly key: PublicKey }

export async function newKey(): Promise<TestKey> {
  const signer = await generateKey('ed25519')
  return { signer, key: tufCodec.key(toTufFields(signer.public), nativeSuite) }
}

/** The file of a body, signed by these keys. */
export async function signFile(body: Metadata, ...keys: readonly TestKey[]): Promise<Uint8Array> {
  const payload = tufCodec.encode(body)
  const signatures = await Promise.all(
    keys.map(async ({ signer, key }) => ({ keyid: key.id, sig: await signer.sign(payload), unknown: new Map() })),
  )
  return tufCodec.assemble(body, signatures)
}

/** An image's entry: any digest will do. */
export function target(seed: string, length = 1000): TargetFile {
  const digest = nativeSuite.hash('sha256', Buffer.from(seed))
  return { length, hashes: new Map([['sha256', digest]]), unknown: new Map() }
}

export const YEAR = 365 * 24 * 3600 * 1000

/** Whoever owns a repository: root and targets keys, and what they last signed. */
export type Owner = {
  readonly rootKey: TestKey
  readonly targetsKey: TestKey
  root: Root
  targets: Targets
}

export type OnlineKeyPair = { readonly timestamp: PublicKey; readonly snapshot: PublicKey }

export async function newOwner(online: OnlineKeyPair, now: number, tags: readonly string[] = []): Promise<Owner> {
  const [rootKey, targetsKey] = [await newKey(), await newKey()]
  const keys: RootKeys = {
    root: { keys: [rootKey.key], threshold: 1 },
    targets: { keys: [targetsKey.key], threshold: 1 },
    timestamp: { keys: [online.timestamp], threshold: 1 },
    snapshot: { keys: [online.snapshot], threshold: 1 },
  }
  const context = { codec: tufCodec, expires: now + YEAR }
  const set = new Map(tags.map((tag) => [tag, target(tag)]))
  return { rootKey, targetsKey, root: firstRoot(keys, context), targets: firstTargets({ set }, context) }
}

/** Both files as they stand, signed. */
export async function signBoth(owner: Owner): Promise<Files> {
  return { root: await signRoot(owner), targets: await signTargets(owner) }
}

export function signRoot({ root, rootKey }: Owner): Promise<Uint8Array> {
  return signFile(root, rootKey)
}

export function signTargets({ targets, targetsKey }: Owner): Promise<Uint8Array> {
  return signFile(targets, targetsKey)
}

/** The owner's next targets with this tag meaning that. */
export function setTag(owner: Owner, now: number, tag: string, seed: string): void {
  owner.targets = nextTargets(owner.targets, { set: new Map([[tag, target(seed)]]) }, context(now))
}

export function setDelegations(owner: Owner, now: number, delegations: Delegations): void {
  owner.targets = nextTargets(owner.targets, { delegations }, context(now))
}

export function changeRoot(owner: Owner, now: number, change: Partial<RootKeys>): void {
  owner.root = nextRoot(owner.root, change, context(now))
}

export function context(now: number) {
  return { codec: tufCodec, expires: now + YEAR }
}

export type Files = Readonly<Record<string, Uint8Array>>

/** A multipart body as clients send it. `types` overrides a part's content type. */
export function multipart(files: Files, types: Readonly<Record<string, string>> = {}) {
  const boundary = 'test-boundary-0123456789'
  const parts = Object.entries(files).flatMap(([role, bytes]) => [
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="files"; filename="${role}"\r\ncontent-type: ${types[role] ?? 'application/octet-stream'}\r\n\r\n`,
    ),
    Buffer.from(bytes),
    Buffer.from('\r\n'),
  ])
  const payload = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)])
  return { payload, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } }
}
