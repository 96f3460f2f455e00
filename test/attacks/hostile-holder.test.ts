/** One of the holders of a root ceremony alters the file before handing it on. Each change is refused, and named. */
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { checkProposal } from '../../client/ceremony/open.ts'
import { decodeProposal } from '../../client/ceremony/proposal.ts'
import { wordsOf } from '../../client/ceremony/words.ts'
import { makeKey, openCeremony } from '../support/ceremony.ts'
import type { Holder } from '../support/ceremony.ts'
import { whyNoRegistry } from '../support/registry.ts'

const skip = (await whyNoRegistry()) ?? false

type File<S> = { signed: S; signatures: { keyid: string; sig: string }[] }
type RootBody = {
  version: number
  expires: string
  keys: Record<string, object>
  roles: Record<'root' | 'targets', { keyids: string[]; threshold: number }>
  'x-tagseal-key-names': Record<string, string>
}
type TargetsBody = {
  version: number
  targets: Record<string, { hashes: { sha256: string } }>
  delegations?: object
}
/** The file as whoever holds it can write it: metadata as objects, to be written back as text. */
type Draft = {
  repository: string
  words: string[]
  roots: File<RootBody>[]
  before: { targets: File<TargetsBody> }
  next: { root: File<RootBody>; targets: File<TargetsBody> }
}
type Scene = {
  readonly alice: string
  readonly mallory: string
  /** A proposal of Mallory's for a repository of the same name, signed by Mallory alone. */
  readonly own: Draft
  /** Another proposal for the same repository, signed by Alice. */
  readonly other: Draft
}
type Case = {
  readonly alter: (draft: Draft, scene: Scene) => void
  /** Whether the words are written anew, as the altered metadata has them. */
  readonly reworded?: boolean
  /** Altered before anybody signed it. */
  readonly early?: boolean
  readonly code: string
  /** What the message names. */
  readonly names?: RegExp
}

const CASES: Readonly<Record<string, Case>> = {
  'words that tell of another threshold': {
    alter: ({ words }) => void words.splice(1, 1, 'root: 3 of 3 keys must sign'),
    code: 'WORDS_DIFFER',
    names: /"root: 3 of 3 keys must sign" where its metadata says "root: 2 of 3 keys must sign"/,
  },
  'words that write on the terminal': {
    alter: ({ words }) => void words.splice(0, 1, '\u001b[2J\u001b[1;1Hall is well\n\rok'),
    code: 'WORDS_DIFFER',
  },
  'a word less': { alter: ({ words }) => void words.pop(), code: 'WORDS_DIFFER' },
  'a lower threshold under the signatures of others': {
    alter: ({ next }) => (next.root.signed.roles.root.threshold = 1),
    code: 'SIGNATURE_FOREIGN',
    names: /the signature of alice \([0-9a-f]{12}\) in .* is over something else than root 2/,
  },
  'a key that was added under the signatures of others': {
    alter: ({ next }, { mallory, own }) => {
      next.root.signed.keys[mallory] = keyOf(own, mallory)
      next.root.signed.roles.targets.keyids.push(mallory)
    },
    reworded: true,
    code: 'SIGNATURE_FOREIGN',
    names: /alice/,
  },
  'the signature of somebody on something else': {
    alter: ({ next }, { alice, other }) => {
      const copied = other.next.root.signatures.find(({ keyid }) => keyid === alice)
      next.root.signatures = next.root.signatures.map((each) => (each.keyid === alice ? (copied ?? each) : each))
    },
    code: 'SIGNATURE_FOREIGN',
    names: /alice/,
  },
  'a signature in the name of somebody who has not signed': {
    alter: ({ next }, { own }) => {
      const [mine] = own.next.root.signatures
      const absent = next.root.signed.roles.root.keyids.find((id) => !next.root.signatures.some((s) => s.keyid === id))
      next.root.signatures.push({ keyid: absent ?? '', sig: mine?.sig ?? '' })
    },
    code: 'SIGNATURE_FOREIGN',
  },
  'an empty signature': {
    alter: ({ next }, { alice }) => {
      next.root.signatures = [{ keyid: alice, sig: '' }]
    },
    code: 'SIGNATURE_FOREIGN',
  },
  'a signature by a key that has no say': {
    alter: ({ next }, { own }) => void next.root.signatures.push(...own.next.root.signatures),
    code: 'SIGNER_UNKNOWN',
    names: /signature on root 2 by [0-9a-f]{64}/,
  },
  'one signature twice': {
    alter: ({ next }) => void next.root.signatures.push(...next.root.signatures.slice(0, 1)),
    code: 'PROPOSAL_UNSOUND',
  },
  'a tag that means something else': {
    alter: ({ next }) =>
      (next.targets.signed.targets['1.0'] = {
        ...next.targets.signed.targets['1.0'],
        hashes: { sha256: 'ab'.repeat(32) },
      }),
    early: true,
    code: 'TAGS_CHANGED',
    names: /targets say something new of the tag 1\.0/,
  },
  'a tag that nobody signed': {
    alter: ({ next }) => Object.assign(next.targets.signed.targets, { evil: next.targets.signed.targets['1.0'] }),
    early: true,
    code: 'TAGS_CHANGED',
    names: /the tag evil/,
  },
  'a tag that is left out in silence': {
    alter: ({ next }) => delete next.targets.signed.targets['1.0'],
    early: true,
    code: 'WORDS_DIFFER',
    names: /0 tags as in version 2/,
  },
  'a delegation to a key of their own': {
    alter: ({ next }, { mallory, own }) => {
      const role = { keyids: [mallory], name: 'evil', paths: ['*'], terminating: true, threshold: 1 }
      const keys = { [mallory]: keyOf(own, mallory) }
      next.targets.signed.delegations = { keys, roles: [role] }
    },
    early: true,
    reworded: true,
    code: 'PROPOSAL_UNSOUND',
    names: /targets delegates otherwise than before/,
  },
  'a member of the root that no word tells of': {
    alter: ({ next }) => Object.assign(next.root.signed, { 'x-hidden': true }),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /changes more than keys, thresholds and its expiry/,
  },
  'a role of the root that no word tells of': {
    alter: ({ next }) => Object.assign(next.root.signed.roles, { mirrors: next.root.signed.roles.root }),
    early: true,
    code: 'PROPOSAL_UNSOUND',
  },
  'a key that no role uses': {
    alter: ({ next }, { mallory, own }) => (next.root.signed.keys[mallory] = keyOf(own, mallory)),
    early: true,
    code: 'PROPOSAL_UNSOUND',
  },
  'a name that writes on the terminal': {
    alter: ({ next }, { alice }) => (next.root.signed['x-tagseal-key-names'][alice] = '\u001b]0;alice\u0007'),
    early: true,
    code: 'PROPOSAL_UNSOUND',
  },
  'one name for two keys': {
    alter: ({ next }, { alice }) => {
      for (const id of Object.keys(next.root.signed['x-tagseal-key-names'])) {
        if (id !== alice) next.root.signed['x-tagseal-key-names'][id] = 'alice'
      }
    },
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /two keys of the root have one name/,
  },
  'a threshold that nobody could meet': {
    alter: ({ next }) => (next.root.signed.roles.root.threshold = 4),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /threshold/,
  },
  'a version that comes later': {
    alter: ({ next }) => (next.root.signed.version = 3),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /root 3 where root 2 comes next/,
  },
  'a root that does not expire for ten thousand years, in silence': {
    alter: ({ next }) => (next.root.signed.expires = '9999-12-31T23:59:59Z'),
    early: true,
    code: 'WORDS_DIFFER',
  },
  'the root of another repository': {
    alter: (draft) => (draft.repository = 'registry.example.com/other'),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /the root is for /,
  },
  'another root to follow, of a chain of their own': {
    alter: (draft, { own }) => (draft.roots = [own.next.root]),
    early: true,
    code: 'PROPOSAL_UNSOUND',
  },
  'the whole of a chain of their own': {
    alter: (draft, { own }) => Object.assign(draft, structuredClone(own)),
    early: true,
    code: 'NOT_VOUCHED',
  },
  'older targets to begin from': {
    alter: ({ before }) => (before.targets.signed.version = 1),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /targets needs 1 valid signature and has 0/,
  },
  'more around the root than signatures': {
    alter: ({ next }) => Object.assign(next.root, { unsigned: 'note' }),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /more around it/,
  },
  'a file that nobody asked for': {
    alter: ({ next }) => Object.assign(next, { evil: next.targets }),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /would publish evil/,
  },
  'a root without the targets that its keys ask for': {
    alter: ({ next }) => Reflect.deleteProperty(next, 'targets'),
    early: true,
    code: 'PROPOSAL_UNSOUND',
    names: /gives targets other keys, and nothing that enough of them signed/,
  },
}

const set = skip === false ? stage(t) : Promise.reject(new Error('it was skipped'))
set.catch(() => undefined)

await t.test('one hostile holder', { skip }, async (t) => {
  const { honest, unsigned, scene, carol } = await set
  for (const [name, { alter, reworded = false, early = false, code, names }] of Object.entries(CASES)) {
    await t.test(`is refused with ${name}`, async (t) => {
      const draft = structuredClone(early ? unsigned : honest)
      alter(draft, scene)
      const file = carol.path('altered.json')
      writeFileSync(file, written(draft))
      if (reworded) writeFileSync(file, written({ ...draft, words: wordsFor(file) ?? draft.words }))
      const bytes = readFileSync(file)
      for (const command of ['review', 'sign']) {
        const args = command === 'sign' ? ['root', command, file, '--yes'] : ['root', command, file]
        const came = await carol.online(args)
        t.match(came, { exit: 1, code }, `${command}: ${came.code}`)
        t.notOk(came.stderr.includes('\u001b'), 'nothing moves a cursor')
        if (names !== undefined) t.match(came.stderr, names, command)
      }
      t.ok(readFileSync(file).equals(bytes), 'and nothing was signed')
    })
  }
})

await t.test('an altered copy that is a sound proposal of its own', { skip }, async (t) => {
  const { honest, unsigned, carol } = await set
  const lowered = structuredClone(unsigned)
  lowered.next.root.signed.roles.root.threshold = 1
  const [file, good] = [carol.path('lowered.json'), carol.path('good.json')]
  writeFileSync(good, written(honest))
  writeFileSync(file, written(lowered))
  writeFileSync(file, written({ ...lowered, words: wordsFor(file) ?? [] }))

  await t.test('shows what it is, and that somebody should ask', async (t) => {
    const came = await carol.run(['root', 'review', file, '--offline'])
    t.match(came, { exit: 0, stdout: /^root: 1 of 3 keys must sign \(so far 2 of 3\)$/m })
    t.match(came.stderr, /warning: root would need fewer signatures than so far: 1 in place of 2/)
    t.match(came.stderr, /warning: each root key alone could change everything/)
  })
  await t.test('is refused by whoever merges or publishes it, once somebody copied a signature onto it', async (t) => {
    const forged = structuredClone(lowered)
    forged.next.root.signatures = honest.next.root.signatures
    writeFileSync(carol.path('forged.json'), written(forged))
    for (const command of ['status', 'publish']) {
      t.match(await carol.online(['root', command, carol.path('forged.json')]), { exit: 1, code: 'SIGNATURE_FOREIGN' })
      const both = await carol.online(['root', command, good, carol.path('forged.json')])
      t.match(both, { exit: 1, code: 'SIGNATURE_FOREIGN', stderr: /alice .* in \S+forged\.json / })
    }
  })
  await t.test('has another fingerprint, and merges with no honest copy', async (t) => {
    const fingerprint = async (path: string) =>
      /^proposal ([0-9a-f]{64})$/m.exec((await carol.run(['root', 'review', path, '--offline'])).stdout)?.[1]
    t.not(await fingerprint(file), await fingerprint(good))
    for (const copies of [
      [file, good],
      [good, file],
    ]) {
      const came = await carol.run(['root', 'sign', ...copies, '--yes'])
      t.match(came, { exit: 1, code: 'PROPOSALS_DIFFER', stderr: /root: 1 of 3 keys must sign/ })
    }
  })
})

await t.test('what is no proposal', { skip }, async (t) => {
  const { honest, carol } = await set
  const text = written(honest)
  const FILES: Readonly<Record<string, readonly [string, string]>> = {
    'an empty file': ['', 'PROPOSAL_MALFORMED'],
    'no JSON': ['hello', 'PROPOSAL_MALFORMED'],
    'a list': ['[]', 'PROPOSAL_MALFORMED'],
    'half of it': [text.slice(0, text.length / 2), 'PROPOSAL_MALFORMED'],
    'one member twice': [text.replace('"repository"', '"repository": "other",\n"repository"'), 'PROPOSAL_MALFORMED'],
    'a member of no meaning': [text.replace('"repository"', '"note": 1, "repository"'), 'PROPOSAL_MALFORMED'],
    'a byte order mark': [`\ufeff${text}`, 'PROPOSAL_MALFORMED'],
    'another format': [text.replace('format 1', 'format 2'), 'PROPOSAL_MALFORMED'],
    'nothing but depth': ['['.repeat(100_000), 'PROPOSAL_MALFORMED'],
    'a prototype': [text.replace('"roots"', '"__proto__": {}, "roots"'), 'PROPOSAL_MALFORMED'],
    'more than anybody needs': [' '.repeat(33 * 1024 * 1024), 'FILE_UNREADABLE'],
  }
  for (const [name, [content, code]] of Object.entries(FILES)) {
    const file = carol.path('no-proposal.json')
    writeFileSync(file, content)
    t.match(await carol.run(['root', 'review', file]), { exit: 2, code }, name)
  }
  t.match(await carol.run(['root', 'review', carol.path('not-there')]), { exit: 2, code: 'FILE_UNREADABLE' })
})

/** A repository of two of three, whose targets key is to be replaced; Carol is asked last, and knows the repository. */
async function stage(t: Test) {
  const ceremony = await openCeremony(t)
  const { repository, carry } = ceremony
  const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(ceremony.holder) as [Holder, Holder, Holder]
  const joins: string[] = []
  const carolKey = await makeKey(carol)
  for (const [holder, key] of [
    [alice, await makeKey(alice)],
    [bob, await makeKey(bob)],
    [carol, carolKey],
  ] as const) {
    joins.push('--add-root', `${holder.name}=${carry(holder, key, alice)}`)
  }
  const [ci, next] = [await makeKey(alice, 'ci'), await makeKey(alice, 'ci-2')]
  const found = async (owner: Holder, name: string, ...wish: string[]) => {
    const file = owner.path(name)
    await good(t, owner, 'root', 'propose', repository, ...wish, '--out', file)
    return file
  }
  const first = await found(alice, 'first.json', ...joins, '--root-threshold', '2', '--add-targets', ci)
  await good(t, alice, 'root', 'sign', first, '--yes')
  carry(alice, 'first.json', bob)
  await good(t, bob, 'root', 'sign', bob.path('first.json'), '--yes')
  const pin = (await good(t, bob, 'root', 'publish', bob.path('first.json'))).stdout.trim().split(' ').slice(1)
  for (const holder of [alice, carol]) await good(t, holder, ...pin)
  await ceremony.push('1.0')
  await good(t, alice, 'sign', `${repository}:1.0`)

  const wish = ['--add-targets', next, '--remove-targets', ci]
  const file = await found(alice, 'second.json', ...wish)
  const unsigned = draftOf(file)
  await good(t, alice, 'root', 'sign', file, '--yes')
  const other = await found(alice, 'other.json', ...wish, '--root-threshold', '3')
  await good(t, alice, 'root', 'sign', other, '--yes', '--key', 'alice')
  const honest = draftOf(file)
  const names = honest.next.root.signed['x-tagseal-key-names']
  const idOf = (name: string) => Object.entries(names).find(([, given]) => given === name)?.[0] ?? ''

  const elsewhere = await openCeremony(t)
  const mallory = elsewhere.holder('mallory')
  const key = await makeKey(mallory)
  const own = mallory.path('own.json')
  const both = ['--add-root', key, '--add-root', carry(carol, carolKey, mallory)]
  await good(t, mallory, 'root', 'propose', repository, ...both, '--add-targets', key, '--out', own)
  await good(t, mallory, 'root', 'sign', own, '--yes')
  const scene = {
    alice: idOf('alice'),
    mallory: draftOf(own).next.root.signatures[0]?.keyid ?? '',
    own: draftOf(own),
    other: draftOf(other),
  }
  return { honest, unsigned, scene, carol }
}

async function good(t: Test, holder: Holder, ...args: string[]) {
  const came = await holder.online(args)
  if (came.exit !== 0) t.fail(came.stderr)
  return came
}

function keyOf(draft: Draft, id: string): object {
  return draft.next.root.signed.keys[id] ?? {}
}

function draftOf(file: string): Draft {
  const raw = JSON.parse(readFileSync(file, 'utf8')) as Record<'before' | 'next', Record<string, string>> & {
    roots: string[]
  }
  const parsed = (texts: Record<string, string>) =>
    Object.fromEntries(Object.entries(texts).map(([role, text]) => [role, JSON.parse(text) as object]))
  const roots = raw.roots.map((text) => JSON.parse(text) as object)
  return { ...raw, roots, before: parsed(raw.before), next: parsed(raw.next) } as unknown as Draft
}

function written(draft: Draft): string {
  const texts = (files: Readonly<Record<string, object>>) =>
    Object.fromEntries(Object.entries(files).map(([role, file]) => [role, JSON.stringify(file)]))
  const { roots, before, next } = draft
  const raw = { ...draft, roots: roots.map((root) => JSON.stringify(root)), before: texts(before), next: texts(next) }
  return JSON.stringify(raw, undefined, 2)
}

/** The words that go with what a file says now; undefined where it says nothing sound. */
function wordsFor(file: string): string[] | undefined {
  try {
    return [...wordsOf(checkProposal(decodeProposal(readFileSync(file), file), file))]
  } catch {
    return undefined
  }
}
