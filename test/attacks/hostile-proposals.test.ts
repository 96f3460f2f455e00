/**
 * Somebody wants a second signature on what its signer would never sign: a server that gives other bytes, or one of the
 * signers, who puts more into a proposal than they say. Whatever it is, it is refused by name or shown; and where it was
 * refused, nothing was signed.
 */
import { createPrivateKey, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  REPOSITORY_FIELD,
  TARGETS,
  encodeHex,
  instant,
  keyId,
  nextTargets,
  proposalId,
  roleName,
  tufCodec,
  version,
  withDelegation,
} from '../../tuf/index.ts'
import type { Delegations, Json, RoleName, TargetFile, Targets } from '../../tuf/index.ts'
import { codeOf } from '../support/cli.ts'
import type { Ran } from '../support/cli.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { ok, openSharedTown, serverUnder } from '../support/shared-town.ts'
import type { SharedTown, Signer } from '../support/shared-town.ts'
import { signingKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'

const skip = (await whyNoRegistry()) ?? false
const YEAR_MS = 365 * 86_400_000
const TEAM = roleName('team')
const [TEAM_KEY, EVE] = [signingKey(), signingKey()]

type Signing = (payload: Uint8Array) => { readonly keyid: string; readonly sig: string }
type Body = { readonly role: RoleName; readonly payload: Uint8Array; readonly text: string }
type Stage = {
  readonly town: SharedTown
  readonly published: Targets
  /** Mallory is Carol: one of the three signers, and no more. */
  readonly mallory: Signing
  /** A hostile server in front of the real one. */
  readonly server: HostileServer
  readonly approve: (id: string, ...more: readonly string[]) => Promise<Ran>
}

type Refused = {
  /** What the server gives as the proposal, in place of a good one. */
  readonly edit: (stage: Stage) => Targets
  readonly code: string
  readonly role?: string
  readonly signedBy?: Signing
  /** A change of the text after it was signed, and named. */
  readonly altered?: (text: string) => string
  /** Of a change of the text before. */
  readonly twisted?: (text: string) => string
  readonly repository?: string
}

const withTag = (tag: string, target: TargetFile) => ({ set: new Map([[tag, target]]) })
const next = ({ published }: Stage, change: Parameters<typeof nextTargets>[1] = {}) =>
  nextTargets(published, change, { codec: tufCodec, expires: Date.now() + YEAR_MS })
const good = (stage: Stage) => next(stage, withTag('2.0', targetOf('two')))
const first = (stage: Stage) => ({ ...good(stage), version: version(1) })
function delegationsOf({ delegations }: Targets): Delegations {
  if (delegations === undefined) throw new Error('the stage has delegations')
  return delegations
}

const REFUSED: Record<string, Refused> = {
  'bytes that were altered under their name': {
    edit: good,
    altered: (text) => text.replace('"length":3', '"length":4'),
    code: 'PROPOSAL_ALTERED',
  },
  "another repository's proposal, under its own name": {
    edit: good,
    repository: 'registry.example.com/other',
    code: 'PROPOSAL_ALTERED',
  },
  'a file that was signed for another repository': {
    edit: (stage) => ({ ...good(stage), unknown: new Map([[REPOSITORY_FIELD, 'registry.example.com/other']]) }),
    code: 'OTHER_REPOSITORY',
  },
  'a file that names no repository, and would be good in all of them': {
    edit: (stage) => ({ ...good(stage), unknown: new Map() }),
    code: 'PROPOSAL_UNFIT',
  },
  'a member that nobody knows': {
    edit: (stage) => {
      const body = good(stage)
      return { ...body, unknown: new Map<string, Json>([...body.unknown, ['x-more', 1]]) }
    },
    code: 'PROPOSAL_UNFIT',
  },
  'a tag with more than a digest': {
    edit: (stage) => next(stage, withTag('2.0', { ...targetOf('two'), custom: { note: 'x' } })),
    code: 'PROPOSAL_UNFIT',
  },
  'a tag with a second digest behind the one that is shown': {
    edit: (stage) => {
      const { hashes, ...rest } = targetOf('two')
      const both = new Map([...hashes, ['sha512', 'ab'.repeat(64)]])
      return next(stage, withTag('2.0', { ...rest, hashes: both }))
    },
    code: 'PROPOSAL_UNFIT',
  },
  'a tag with a digest of no length that is pulled': {
    edit: (stage) => next(stage, withTag('2.0', { ...targetOf('two'), hashes: new Map([['sha256', 'abcd']]) })),
    code: 'PROPOSAL_UNFIT',
  },
  'a key that no role has': {
    edit: (stage) => {
      const delegations = delegationsOf(stage.published)
      const unused = signingKey()
      const keys = new Map([...delegations.keys, [unused.id, unused.public]])
      return next(stage, { delegations: { ...delegations, keys } })
    },
    code: 'PROPOSAL_UNFIT',
  },
  'a role with a member that nobody knows': {
    edit: (stage) => {
      const delegations = delegationsOf(stage.published)
      const roles = delegations.roles.map((role) => ({ ...role, unknown: new Map([['x-more', 1]]) }))
      return next(stage, { delegations: { ...delegations, roles } })
    },
    code: 'PROPOSAL_UNFIT',
  },
  'delegations with a member that nobody knows': {
    edit: (stage) =>
      next(stage, { delegations: { ...delegationsOf(stage.published), unknown: new Map([['x-more', 1]]) } }),
    code: 'PROPOSAL_UNFIT',
  },
  'the last version there can be, after which there is no other': {
    edit: (stage) => ({ ...good(stage), version: version(Number.MAX_SAFE_INTEGER) }),
    code: 'PROPOSAL_UNFIT',
  },
  'a version that leaves one out': {
    edit: (stage) => ({ ...good(stage), version: version(good(stage).version + 1) }),
    code: 'PROPOSAL_UNFIT',
  },
  'the version that is published, with other tags': {
    edit: (stage) => ({ ...good(stage), version: stage.published.version }),
    code: 'PROPOSAL_STALE',
  },
  'what has expired': {
    edit: (stage) => ({ ...good(stage), expires: instant(0), expiresText: '1970-01-01T00:00:00Z' }),
    code: 'EXPIRED',
  },
  'what no signer has signed': {
    edit: good,
    signedBy: (payload) => ({ keyid: EVE.id, sig: encodeHex(EVE.sign(payload)) }),
    code: 'THRESHOLD',
  },
  'targets by the name of a root': { edit: first, role: 'root', code: 'ROLE_NOT_LISTED' },
  'a role that nobody delegates to': { edit: first, role: 'nobody', code: 'ROLE_NOT_LISTED' },
  'text that is no metadata': { edit: good, twisted: (text) => text.replace('"targets"', '"root"'), code: 'MALFORMED' },
  'a member that is there twice': {
    edit: good,
    twisted: (text) => text.replace('"version":', '"version":1,"version":'),
    code: 'MALFORMED',
  },
}

async function refuseAll(t: Test, stage: Stage): Promise<void> {
  for (const [name, refused] of Object.entries(REFUSED)) {
    await t.test(name, async (t) => {
      const { role = TARGETS, repository = stage.town.repository, signedBy = stage.mallory } = refused
      const made = bodyOf(roleName(role), refused.edit(stage), refused.twisted)
      const id = proposalId(repository, new Map([[made.role, made.payload]]), nativeSuite)
      stage.server.gives = documentOf(id, [made], signedBy, refused.altered)
      const ran = await stage.approve(id, '--yes')
      t.same([ran.code, codeOf(ran)], [1, refused.code], ran.stderr)
      t.same(stage.server.sent(), [], 'nothing was signed')
    })
  }
}

type Shown = { readonly edit: (stage: Stage) => Targets; readonly shows: RegExp }

const scope = (...paths: readonly string[]) => ({ kind: 'paths' as const, paths })
const role = (name: RoleName, more: object = {}) => ({
  name,
  keys: [TEAM_KEY.public, EVE.public],
  threshold: 2,
  scope: scope('t-*'),
  terminating: false,
  ...more,
})
/** Beside the tag that everybody expects. */
const alsoDelegating = (stage: Stage, delegations: Delegations): Targets =>
  next(stage, { ...withTag('2.0', targetOf('two')), delegations })

const SHOWN: Record<string, Shown> = {
  'a second tag beside the one that was spoken of': {
    edit: (stage) =>
      next(stage, {
        set: new Map([
          ['2.0', targetOf('two')],
          ['evil', targetOf('evil')],
        ]),
      }),
    shows: /^ {2}\+ evil {2}sha256:/m,
  },
  'a tag that is moved beside it': {
    edit: (stage) =>
      next(stage, {
        set: new Map([
          ['2.0', targetOf('two')],
          ['1.0', targetOf('old')],
        ]),
      }),
    shows: /^ {2}~ 1\.0 {2}sha256:[0-9a-f]{64} -> sha256:[0-9a-f]{64} /m,
  },
  'a tag that is taken out beside it': {
    edit: (stage) => next(stage, { ...withTag('2.0', targetOf('two')), remove: new Set(['1.0']) }),
    shows: /^ {2}- 1\.0 {2}was sha256:/m,
  },
  'a role that is added': {
    edit: (stage) =>
      alsoDelegating(stage, withDelegation(delegationsOf(stage.published), role(roleName('evil'), { threshold: 1 }))),
    shows: /^ {2}\+ role evil: t-\* by 1 of 2 keys \(/m,
  },
  'a threshold that is lowered': {
    edit: (stage) =>
      alsoDelegating(stage, withDelegation(delegationsOf(stage.published), role(TEAM, { threshold: 1 }))),
    shows: /^ {2}~ role team: t-\* by 2 of 2 keys \(.*\) -> t-\* by 1 of 2 keys \(/m,
  },
  'a scope that is widened': {
    edit: (stage) =>
      alsoDelegating(stage, withDelegation(delegationsOf(stage.published), role(TEAM, { scope: scope('*') }))),
    shows: /^ {2}~ role team: t-\* by .* -> every tag by /m,
  },
  'a role that is made to end the search': {
    edit: (stage) =>
      alsoDelegating(stage, withDelegation(delegationsOf(stage.published), role(TEAM, { terminating: true }))),
    shows: /-> t-\* by 2 of 2 keys \(.*\), no role after it is asked$/m,
  },
  'a key that is exchanged': {
    edit: (stage) =>
      alsoDelegating(
        stage,
        withDelegation(delegationsOf(stage.published), role(TEAM, { keys: [TEAM_KEY.public, signingKey().public] })),
      ),
    shows: /^ {2}~ role team: .* -> t-\* by 2 of 2 keys \([0-9a-f]{12}, [0-9a-f]{64}\)$/m,
  },
  'roles that change places': {
    edit: (stage) => {
      const { roles, ...rest } = delegationsOf(stage.published)
      return alsoDelegating(stage, { ...rest, roles: roles.toReversed() })
    },
    shows: /^ {2}asks its roles in another order: other, team$/m,
  },
  'delegations that go away altogether': {
    edit: (stage) => next(stage, { ...withTag('2.0', targetOf('two')), delegations: null }),
    shows: /^ {2}- role team, which targets delegated: /m,
  },
  'an expiry that nobody will live to see': {
    edit: (stage) => ({
      ...good(stage),
      expires: instant(Date.UTC(9999, 0, 1)),
      expiresText: '9999-01-01T00:00:00Z',
    }),
    shows: /^targets: .* good until 9999-01-01 .* LONGER than tagseal signs for/m,
  },
}

async function showAll(t: Test, stage: Stage): Promise<void> {
  for (const [name, { edit, shows }] of Object.entries(SHOWN)) {
    await t.test(name, async (t) => {
      const made = bodyOf(TARGETS, edit(stage))
      const id = proposalId(stage.town.repository, new Map([[made.role, made.payload]]), nativeSuite)
      stage.server.gives = documentOf(id, [made], stage.mallory)
      const ran = await stage.approve(id)
      t.equal(ran.code, 0, ran.stderr)
      t.match(ran.stdout, shows)
      t.same(stage.server.sent(), [], 'nothing is signed by looking')
    })
  }
}

/** The server answers a proposal, or a signature, with something else. */
async function refuseExchanged(t: Test, stage: Stage): Promise<void> {
  const { server, town } = stage
  const { repository, a, alice } = town
  const signing = () =>
    alice.run(['sign', `${repository}:2.0@${a.digest}`, '--server', server.url, '--json', '--allow-pending'])
  const evil = (change: (body: Targets) => Targets) => {
    const [algorithm = '', hex = ''] = a.digest.split(':')
    const target = { length: a.size, hashes: new Map([[algorithm, hex]]), unknown: new Map() }
    return bodyOf(TARGETS, change(next(stage, withTag('2.0', target))))
  }
  const named = (made: Body) => proposalId(repository, new Map([[made.role, made.payload]]), nativeSuite)
  const like = (id: string) => ({
    status: 409,
    body: { errors: [{ code: 'PROPOSED_ALREADY', message: 'x', detail: { id } }] },
  })
  const EXCHANGED: Record<string, { code: string; answer: Body; likely: boolean }> = {
    'by the proposal of somebody else': {
      answer: evil((body) => ({ ...body, targets: new Map([...body.targets, ['evil', targetOf('evil')]]) })),
      likely: false,
      code: 'PROPOSAL_ALTERED',
    },
    'by one that is said to be of the same change': {
      answer: evil((body) => ({ ...body, targets: new Map([...body.targets, ['evil', targetOf('evil')]]) })),
      likely: true,
      code: 'BAD_ANSWER',
    },
    'by one of the same change that never expires': {
      answer: evil((body) => ({
        ...body,
        expires: instant(Date.UTC(9999, 0, 1)),
        expiresText: '9999-01-01T00:00:00Z',
      })),
      likely: true,
      code: 'PROPOSAL_UNFIT',
    },
  }
  for (const [name, { answer, likely, code }] of Object.entries(EXCHANGED)) {
    await t.test(name, async (t) => {
      const id = named(answer)
      server.gives = documentOf(id, [answer], stage.mallory)
      server.answers = likely ? like(id) : { status: 200, body: server.gives }
      const ran = await signing()
      t.equal(codeOf(ran), code, ran.stdout)
      t.same(server.sent(), [], 'nothing was signed beyond what was sent')
      server.answers = undefined
    })
  }
  await t.test('by one with a signature that does not hold', async (t) => {
    const made = evil((body) => body)
    const id = named(made)
    server.gives = documentOf(id, [made], stage.mallory)
    const junk = { keyid: alice.key, sig: '00'.repeat(64) }
    server.answersSigning = { status: 200, body: documentOf(id, [made], stage.mallory, undefined, [junk]) }
    const ran = await stage.approve(id, '--yes', '--without-registry')
    t.match(
      [ran.code, ran.stdout],
      [0, /targets has 1 of 2 signatures/],
      'which counts for nothing, and is not published',
    )
    t.equal(server.sent().length, 1)
    server.answersSigning = undefined
  })
}

function bodyOf(role: RoleName, body: Targets, twist = (text: string) => text): Body {
  const text = twist(Buffer.from(tufCodec.encode(body)).toString('utf8'))
  return { role, payload: Buffer.from(text), text }
}

function documentOf(
  id: string,
  made: readonly Body[],
  signedBy: Signing,
  altered = (text: string) => text,
  more: readonly object[] = [],
): object {
  const now = new Date().toISOString()
  return {
    id,
    createdAt: now,
    expiresAt: now,
    by: 'ci',
    stale: false,
    files: made.map(({ role, payload, text }) => ({
      role,
      version: 1,
      file: `{"signatures":[],"signed":${altered(text)}}`,
      signatures: [signedBy(payload), ...more],
    })),
  }
}

async function openStage(t: Test): Promise<Stage> {
  const town = await openSharedTown(t, serverUnder(t))
  const { repository, alice, bob, carol } = town
  const mallory = await signingOf(carol)
  const honest = await signingOf(alice)
  // Published by two of them: the tag 1.0, and two roles.
  const before = await targetsOf(town)
  const delegations = [TEAM, roleName('other')].reduce<Delegations | undefined>(
    (list, name) => withDelegation(list, role(name)),
    undefined,
  )
  const change = { ...withTag('1.0', targetOf('one')), ...(delegations === undefined ? {} : { delegations }) }
  const body = nextTargets(before, change, { codec: tufCodec, expires: Date.now() + YEAR_MS })
  const payload = tufCodec.encode(body)
  const signatures = [honest, mallory].map((by) => by(payload))
  const file = `{"signatures":${JSON.stringify(signatures)},"signed":${Buffer.from(payload).toString('utf8')}}`
  const form = new FormData()
  form.append('files', new Blob([file]), 'targets')
  const sent = await fetch(`${town.server.url}/v2/${repository}/_trust/tuf/`, { method: 'POST', body: form })
  t.equal(sent.status, 200, await sent.text())
  const server = await hostileServer(t, town.server.url)
  const approve = (id: string, ...more: readonly string[]) =>
    bob.run(['approve', repository, id, '--server', server.url, '--without-registry', ...more])
  return { town, published: await targetsOf(town), mallory, server, approve }
}

async function targetsOf({ server, repository }: SharedTown): Promise<Targets> {
  const answer = await fetch(`${server.url}/v2/${repository}/_trust/tuf/targets.json`)
  const bytes = Buffer.from(await answer.arrayBuffer())
  return tufCodec.decode('targets', bytes, { suite: nativeSuite, limits: DEFAULT_LIMITS }).body
}

async function signingOf({ run, key }: Signer): Promise<Signing> {
  const { stdout } = await ok(run(['key', 'export', key, '--private', '--no-passphrase']))
  const secret = createPrivateKey(stdout)
  return (payload) => ({ keyid: keyId(key), sig: encodeHex(sign(null, payload, secret)) })
}

type Answer = { readonly status: number; readonly body: object }
type HostileServer = {
  readonly url: string
  /** What it gives as any proposal. */
  gives: object
  /** In answer to a new proposal, and to signatures; the real server's where there is none. */
  answers: Answer | undefined
  answersSigning: Answer | undefined
  /** Signatures that reached it since the last look. */
  readonly sent: () => readonly string[]
}

async function hostileServer(t: Test, target: string): Promise<HostileServer> {
  let sent: string[] = []
  const tell = (response: ServerResponse, { status, body }: Answer) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { url = '', method = 'GET', headers } = request
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = Buffer.concat(parts)
    const own = /\/proposals\/[0-9a-f]{32}(\/signatures)?$/.exec(url)
    if (own?.[1] !== undefined) sent.push(body.toString('utf8'))
    if (own?.[1] !== undefined && server.answersSigning !== undefined) return tell(response, server.answersSigning)
    if (own !== null) return tell(response, { status: 200, body: server.gives })
    if (method === 'POST' && url.endsWith('/proposals') && server.answers !== undefined) {
      return tell(response, server.answers)
    }
    const forwarded = await fetch(`${target}${url}`, {
      method,
      headers: { 'content-type': headers['content-type'] ?? 'application/json', accept: '*/*' },
      ...(method === 'GET' ? {} : { body }),
    })
    response.writeHead(forwarded.status, { 'content-type': 'application/json' })
    return response.end(Buffer.from(await forwarded.arrayBuffer()))
  }
  const http = createServer((request, response) => {
    answer(request, response).catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    http.closeAllConnections()
    http.close()
  })
  const server: HostileServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    gives: {},
    answers: undefined,
    answersSigning: undefined,
    sent() {
      const until = sent
      sent = []
      return until
    },
  }
  return server
}

await t.test('hostile proposals', { skip }, async (t) => {
  const stage = await openStage(t)
  await t.test('are refused by whoever is asked to sign them', async (t) => refuseAll(t, stage))
  await t.test('show what they would rather not', async (t) => showAll(t, stage))
  await t.test('are not signed in place of what was meant', async (t) => refuseExchanged(t, stage))
})
