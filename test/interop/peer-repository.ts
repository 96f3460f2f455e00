/**
 * A TUF repository written from the specification alone, with OpenSSL and plain JSON: none of our own code takes part,
 * so that a mistake of ours cannot agree with itself. Published versions stay available; tests may change anything.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fields = { [name: string]: unknown }
export type Signed = Fields & { version: number; expires: string }
export type PeerKey = { readonly keyid: string; readonly fields: Fields; readonly sign: (payload: Buffer) => Buffer }
export type RoleEntry = Fields & { keyids: string[]; threshold: number }
export type Delegation = { name: string; paths: string[]; terminating?: boolean }
export type PeerFile = { signatures: Fields[]; signed: Fields }
export type Kind = 'ed25519' | 'ecdsa' | 'rsa'

const DAY = 86_400_000
export const TOP = ['root', 'timestamp', 'snapshot', 'targets'] as const

/** Whole seconds, `days` from now. */
export function inDays(days: number): string {
  return new Date(Date.now() + days * DAY).toISOString().replace(/\.\d+/, '')
}

/** Canonical JSON by the letter of the OLPC page. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    return `{${names.map((name) => `${quote(name)}:${canonical((value as Fields)[name])}`).join(',')}}`
  }
  return typeof value === 'string' ? quote(value) : String(value)
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

export function sha(name: 'sha256' | 'sha512', data: string | Buffer): string {
  return createHash(name).update(data).digest('hex')
}

const SCHEMES = { ed25519: 'ed25519', ecdsa: 'ecdsa-sha2-nistp256', rsa: 'rsassa-pss-sha256' } as const

export function newKey(kind: Kind = 'ecdsa', unknown: Fields = {}): PeerKey {
  const { publicKey, privateKey } = pairOf(kind)
  const fields = { keytype: kind, scheme: SCHEMES[kind], keyval: { public: publicText(kind, publicKey) }, ...unknown }
  return { keyid: sha('sha256', canonical(fields)), fields, sign: (payload) => signWith(kind, privateKey, payload) }
}

function pairOf(kind: Kind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'ed25519') return generateKeyPairSync('ed25519')
  if (kind === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return generateKeyPairSync('rsa', { modulusLength: 2048 })
}

function publicText(kind: Kind, key: KeyObject): string {
  if (kind !== 'ed25519') return key.export({ type: 'spki', format: 'pem' }).toString()
  return key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex')
}

function signWith(kind: Kind, key: KeyObject, payload: Buffer): Buffer {
  if (kind === 'ed25519') return sign(null, payload, key)
  if (kind === 'ecdsa') return sign('sha256', payload, key)
  return sign('sha256', payload, { key, padding: 6, saltLength: 32 })
}

export class PeerRepository {
  /** What the next `publish` of each role signs. */
  readonly signed = new Map<string, Signed>()
  /** Every published file, version 1 first, as its bytes. */
  readonly published = new Map<string, Buffer[]>()
  readonly signers = new Map<string, Map<string, PeerKey>>()
  readonly artifacts = new Map<string, Buffer>()
  /** Every request for metadata: the role as it was quoted, and the version or undefined. */
  readonly asked: [role: string, version: number | undefined][] = []
  readonly askedArtifacts: string[] = []
  /** Whether listed files get length and hashes. */
  listHashes = false

  constructor() {
    const common = (type: string) => ({ _type: type, spec_version: '1.0.31', version: 1, expires: inDays(30) })
    this.signed.set('root', { ...common('root'), consistent_snapshot: true, keys: {}, roles: {} })
    this.signed.set('timestamp', { ...common('timestamp'), meta: { 'snapshot.json': { version: 1 } } })
    this.signed.set('snapshot', { ...common('snapshot'), meta: { 'targets.json': { version: 1 } } })
    this.signed.set('targets', { ...common('targets'), targets: {} })
    for (const role of TOP) {
      this.roles[role] = { keyids: [], threshold: 1 }
      this.addKey(role)
    }
    this.publish('targets', 'snapshot', 'timestamp', 'root')
  }

  of(role: string): Signed {
    const signed = this.signed.get(role)
    if (signed === undefined) throw new Error(`no role ${role}`)
    return signed
  }

  get roles(): Record<string, RoleEntry> {
    return this.of('root')['roles'] as Record<string, RoleEntry>
  }

  entry(role: string): RoleEntry {
    const entry = this.roles[role]
    if (entry === undefined) throw new Error(`no role ${role}`)
    return entry
  }

  get keys(): Record<string, Fields> {
    return this.of('root')['keys'] as Record<string, Fields>
  }

  meta(
    role: 'snapshot' | 'timestamp',
  ): Record<string, { version: number; length?: number; hashes?: Record<string, string> }> {
    return this.of(role)['meta'] as Record<string, { version: number }>
  }

  targets(role = 'targets'): Record<string, Fields> {
    return this.of(role)['targets'] as Record<string, Fields>
  }

  signersOf(role: string): Map<string, PeerKey> {
    const known = this.signers.get(role) ?? new Map<string, PeerKey>()
    this.signers.set(role, known)
    return known
  }

  /** The key signs for the role from now on, and the role lists it. */
  addKey(role: string, key = newKey()): PeerKey {
    this.listKey(role, key)
    this.signersOf(role).set(key.keyid, key)
    return key
  }

  /** The role lists the key, which need not sign. */
  listKey(role: string, key: PeerKey): void {
    this.keys[key.keyid] = key.fields
    this.entry(role).keyids.push(key.keyid)
  }

  rotateKeys(role: string): void {
    this.entry(role).keyids = []
    this.signersOf(role).clear()
    for (let i = 0; i < this.entry(role).threshold; i++) this.addKey(role)
  }

  /** Signs and serves each role; one that was published before goes up by one version. */
  publish(...roles: string[]): void {
    for (const role of roles) {
      const signed = this.of(role)
      const versions = this.published.get(role)
      if (versions !== undefined) signed.version += 1
      const file = this.sign(role)
      this.published.set(role, [...(versions ?? []), file])
      if (role === 'snapshot') this.meta('timestamp')['snapshot.json'] = this.metaOf(signed.version, file)
      else if (role !== 'root' && role !== 'timestamp') {
        this.meta('snapshot')[`${role}.json`] = this.metaOf(signed.version, file)
      }
    }
  }

  /** The file of a role as it is now, signed by whoever signs for it; written as Python writes it. */
  sign(role: string): Buffer {
    const signed = this.of(role)
    const payload = Buffer.from(canonical(signed))
    const signatures = [...this.signersOf(role).values()].map((key) => ({
      keyid: key.keyid,
      sig: key.sign(payload).toString('hex'),
    }))
    return Buffer.from(JSON.stringify({ signatures, signed }, null, 1))
  }

  /** Serves other bytes as the newest version of a role. */
  replaceNewest(role: string, change: (file: PeerFile) => void): void {
    const versions = this.published.get(role) ?? []
    const file = JSON.parse(String(versions.pop())) as PeerFile
    change(file)
    versions.push(Buffer.from(JSON.stringify(file)))
  }

  addArtifact(role: string, path: string, data: Buffer, hashes: ('sha256' | 'sha512')[] = ['sha256']): void {
    this.targets(role)[path] = {
      length: data.length,
      hashes: Object.fromEntries(hashes.map((name) => [name, sha(name, data)])),
    }
    this.artifacts.set(path, data)
  }

  /** A role below another, with a key of its own; the same role may be delegated to twice. */
  delegate(delegator: string, { name, paths, terminating = false }: Delegation, key = newKey()): void {
    const by = this.of(delegator)
    by['delegations'] ??= { keys: {}, roles: [] }
    const { keys, roles } = by['delegations'] as { keys: Fields; roles: Fields[] }
    keys[key.keyid] = key.fields
    roles.push({ name, keyids: [key.keyid], threshold: 1, terminating, paths })
    this.signersOf(name).set(key.keyid, key)
    if (!this.signed.has(name)) this.addTargetsRole(name)
  }

  addTargetsRole(name: string): void {
    this.signed.set(name, { _type: 'targets', spec_version: '1.0.31', version: 1, expires: inDays(30), targets: {} })
  }

  newest(role: string): Buffer | undefined {
    return this.published.get(role)?.at(-1)
  }

  private metaOf(version: number, file: Buffer): { version: number; length?: number; hashes?: Record<string, string> } {
    return this.listHashes ? { version, length: file.length, hashes: { sha256: sha('sha256', file) } } : { version }
  }

  /** What is at a path below the repository; undefined is a 404. */
  answer(path: string): Buffer | undefined {
    const metadata = /^metadata\/(.*)\.json$/.exec(path)
    if (metadata !== null) return this.answerMetadata(metadata[1] ?? '')
    const target = /^targets\/(.*)$/.exec(path)
    if (target === null) return undefined
    this.askedArtifacts.push(target[1] ?? '')
    return this.answerArtifact(decodeURIComponent(target[1] ?? ''))
  }

  private answerMetadata(name: string): Buffer | undefined {
    const [, version, quoted] = /^(\d+)\.(.*)$/.exec(name) ?? []
    const versioned = quoted === 'root' || (this.of('root')['consistent_snapshot'] === true && name !== 'timestamp')
    if (!versioned || version === undefined || quoted === undefined) {
      this.asked.push([name, undefined])
      return this.newest(decodeURIComponent(name))
    }
    this.asked.push([quoted, Number(version)])
    return this.published.get(decodeURIComponent(quoted))?.[Number(version) - 1]
  }

  private answerArtifact(path: string): Buffer | undefined {
    if (this.of('root')['consistent_snapshot'] !== true) return this.artifacts.get(path)
    const [, folder = '', hash, name = ''] = /^(.*\/)?([0-9a-f]+)\.([^/]*)$/.exec(path) ?? []
    const listed = [...this.signed.values()].map((signed) => (signed['targets'] as Fields | undefined)?.[folder + name])
    const matches = listed.some((target) =>
      Object.values((target as { hashes?: Fields } | undefined)?.hashes ?? {}).includes(hash),
    )
    return matches ? this.artifacts.get(folder + name) : undefined
  }
}

export type PeerServer = {
  /** The repository under `/NAME/`, and its URLs, quoted as Python quotes them. */
  readonly serve: (name: string, repository: PeerRepository) => { metadataUrl: string; targetsUrl: string }
  readonly close: () => Promise<void>
}

/** As sparing as Python's `http.server`: one request a connection, GET only, no ETag. */
export async function openPeerServer(): Promise<PeerServer> {
  const repositories = new Map<string, PeerRepository>()
  const server = createServer({ keepAlive: false }, (request, response) => {
    const [, name = '', path = ''] = /^\/([^/]*)\/(.*)$/.exec(request.url ?? '') ?? []
    const body = request.method === 'GET' ? repositories.get(decodeURIComponent(name))?.answer(path) : undefined
    response.writeHead(body === undefined ? 404 : 200, { connection: 'close' })
    response.end(body ?? 'not found')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    serve(name, repository) {
      repositories.set(name, repository)
      const base = `http://127.0.0.1:${port}/${encodeURIComponent(name)}`
      return { metadataUrl: `${base}/metadata/`, targetsUrl: `${base}/targets/` }
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
