/** Repositories whose targets several people sign, and what they propose there. */
import {
  firstRoot,
  firstTargets,
  nextTargets,
  roleName,
  withDelegation,
  type Root,
  type Targets,
  type TargetsChange,
} from '../../../tuf/index.ts'
import { REPO, type TestServer } from './app.ts'
import { context, multipart, newKey, signFile, target, type Files, type TestKey } from './party.ts'

/** A repository at targets 1 with the tag 1.0, under two of these three keys; below it a role of two keys. */
export type Shared = {
  readonly keys: readonly [TestKey, TestKey, TestKey]
  readonly team: readonly [TestKey, TestKey]
  readonly rootKey: TestKey
  readonly root: Root
  readonly targets: Targets
  readonly next: (change: TargetsChange) => Targets
}

export const TEAM = roleName('team')

export async function openShared(server: TestServer, repository = REPO): Promise<Shared> {
  const [keys, rootKey] = [[await newKey(), await newKey(), await newKey()] as const, await newKey()]
  const team = [await newKey(), await newKey()] as const
  const online = await server.onlineKeys(repository)
  const making = context(server.clock.now)
  const root = firstRoot(
    {
      root: { keys: [rootKey.key], threshold: 1 },
      targets: { keys: keys.map(({ key }) => key), threshold: 2 },
      timestamp: { keys: [online.timestamp], threshold: 1 },
      snapshot: { keys: [online.snapshot], threshold: 1 },
    },
    making,
    named(repository),
  )
  const scope = { kind: 'paths' as const, paths: ['t-*'] }
  const role = { name: TEAM, keys: team.map(({ key }) => key), threshold: 2, scope, terminating: false }
  const delegations = withDelegation(undefined, role)
  const set = new Map([['1.0', target('1.0')]])
  const targets: Targets = { ...firstTargets({ set, delegations }, making), unknown: named(repository) }
  const files = { root: await signFile(root, rootKey), targets: await signFile(targets, keys[0], keys[1]) }
  const answer = await server.publish(files, { repository })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return {
    keys,
    team,
    rootKey,
    root,
    targets,
    next: (change) => nextTargets(targets, change, context(server.clock.now)),
  }
}

export function named(repository: string) {
  return new Map([['x-tagseal-repository', repository]])
}

export type ProposalDocument = {
  readonly id: string
  readonly stale: boolean
  readonly by?: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly files: readonly {
    readonly role: string
    readonly version: number
    readonly file: string
    readonly base?: string
    readonly signatures: readonly { readonly keyid: string; readonly sig: string }[]
  }[]
}

type Headers = Record<string, string>

export function urlOf(repository = REPO, rest = ''): string {
  return `/v1/repositories/${encodeURIComponent(repository)}/proposals${rest}`
}

export function propose(server: TestServer, files: Files, headers: Headers = {}, repository = REPO) {
  const body = multipart(files)
  const url = urlOf(repository)
  return server.app.inject({ method: 'POST', url, payload: body.payload, headers: { ...body.headers, ...headers } })
}

export function addSignatures(server: TestServer, id: string, signatures: readonly object[], headers: Headers = {}) {
  return server.app.inject({
    method: 'POST',
    url: urlOf(REPO, `/${id}/signatures`),
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify({ signatures }),
  })
}

/** What this key says of a body, as a signature is sent. */
export async function signatureBy(key: TestKey, body: Targets, role = 'targets'): Promise<object> {
  const file = JSON.parse(Buffer.from(await signFile(body, key)).toString('utf8')) as {
    readonly signatures: readonly [{ readonly keyid: string; readonly sig: string }]
  }
  return { role, ...file.signatures[0] }
}

/** The files of a proposal with every signature on them, as they are published. */
export function filesOf(proposal: ProposalDocument): Files {
  return Object.fromEntries(
    proposal.files.map(({ role, file, signatures }) => {
      const parsed = JSON.parse(file) as { readonly signed: object }
      return [role, Buffer.from(JSON.stringify({ signatures, signed: parsed.signed }))]
    }),
  )
}
