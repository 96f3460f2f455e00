import t from 'tap'
import type { SignedRule } from '../../../client/verdict/rule.ts'
import { roleName, TARGETS, version } from '../../../tuf/index.ts'
import { NOTARY } from '../../support/dialects.ts'
import { certifiedKey, signingKey } from '../../support/signing-key.ts'
import { NOW, Simulator, targetOf } from '../../support/simulator.ts'
import { NAME, openVerdictLab } from '../../support/verdict-lab.ts'

const digest = (content: string) => `sha256:${targetOf(content).hashes.get('sha256')}`
const RELEASES = roleName('releases')

const sign = (simulator: Simulator, content: string, tag = '1.0') => simulator.sign({ [tag]: targetOf(content) })
const revoke = (simulator: Simulator, tag = '1.0') => {
  simulator.publishTargets({ remove: new Set([tag]) })
  simulator.release()
}

type Case = {
  readonly history: (simulator: Simulator) => void
  readonly asked?: string
  readonly rule?: Partial<SignedRule>
  readonly admitted?: true
}
const CASES: Record<string, Case> = {
  'a digest whose tag moved on': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'new')
    },
    admitted: true,
  },
  'a digest whose tag moved on twice, with other tags signed between': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'x', '2.0')
      sign(simulator, 'new')
      sign(simulator, 'newer')
    },
    admitted: true,
  },
  'a digest of a delegated role whose tag moved on': {
    history: (simulator) => {
      simulator.delegate(TARGETS, RELEASES)
      simulator.sign({ '1.0': targetOf('old') }, RELEASES)
      simulator.sign({ '1.0': targetOf('new') }, RELEASES)
    },
    admitted: true,
  },
  'a digest that nobody ever signed': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'new')
    },
    asked: 'other',
  },
  'a digest whose tag moved on, where the rule does not say so': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'new')
    },
    rule: { signedOnce: false },
  },
  'a digest whose tag was revoked': {
    history: (simulator) => {
      sign(simulator, 'old')
      revoke(simulator)
    },
  },
  'a digest whose tag moved on and was revoked then': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'new')
      revoke(simulator)
    },
  },
  'a digest whose tag was revoked and signed anew': {
    history: (simulator) => {
      sign(simulator, 'old')
      revoke(simulator)
      sign(simulator, 'new')
    },
  },
  'a digest that a key signed which has left since': {
    history: (simulator) => {
      sign(simulator, 'old')
      simulator.publishRoot({ targets: [signingKey('ed25519')] })
      sign(simulator, 'new')
    },
  },
  'a digest whose version nobody shows any more': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'new')
      simulator.files.delete('2.targets.json')
    },
  },
  'a digest before a version that nobody shows any more': {
    history: (simulator) => {
      sign(simulator, 'old')
      sign(simulator, 'newer')
      sign(simulator, 'newest')
      simulator.files.delete('3.targets.json')
    },
  },
  'a digest in the place of whose revocation an older file is shown': {
    history: (simulator) => {
      sign(simulator, 'old')
      revoke(simulator)
      sign(simulator, 'new')
      simulator.files.set('3.targets.json', simulator.file('2.targets.json'))
    },
  },
  'a digest whose tag another role says now': {
    history: (simulator) => {
      simulator.delegate(TARGETS, RELEASES)
      simulator.sign({ '1.0': targetOf('old') }, RELEASES)
      simulator.sign({ '1.0': targetOf('newer') }, RELEASES)
      sign(simulator, 'new')
    },
  },
  'a digest whose tag moved on, where another role has to sign as well': {
    history: (simulator) => {
      simulator.delegate(TARGETS, RELEASES)
      sign(simulator, 'old')
      simulator.sign({ '1.0': targetOf('new') }, RELEASES)
      sign(simulator, 'new')
    },
    rule: { require: ['releases'] },
  },
}

for (const [name, { history, asked = 'old', rule, admitted = false }] of Object.entries(CASES)) {
  await t.test(`${admitted ? 'admits' : 'refuses'} ${name}`, async (t) => {
    const simulator = new Simulator()
    history(simulator)
    const lab = openVerdictLab({ simulator, rule: { signedOnce: true, ...rule } })
    t.teardown(lab.close)
    t.equal(await lab.verdicts.wasSigned(NAME, digest(asked)), admitted)
  })
}

await t.test(
  'refuses what a key of a Notary repository signed elsewhere, for no file there says whose it is',
  async (t) => {
    const root = await certifiedKey({ name: NAME, from: NOW - 86_400_000, until: NOW + 86_400_000 })
    const simulator = new Simulator({ ...NOTARY, keys: { root: [root] } })
    sign(simulator, 'one')
    sign(simulator, 'new')
    const current = simulator.targetsOf(TARGETS)
    const before = current.version - 1
    const elsewhere = { ...current, version: version(before), targets: new Map([['1.0', targetOf('elsewhere')]]) }
    simulator.files.set(`${before}.targets.json`, simulator.seal(elsewhere, simulator.signers.get(TARGETS) ?? []))
    const lab = openVerdictLab({ simulator, rule: { signedOnce: true } })
    t.teardown(lab.close)
    t.notOk(await lab.verdicts.wasSigned(NAME, digest('elsewhere')))
  },
)

await t.test('what was found out is gone on from, file by file', async (t) => {
  const simulator = new Simulator()
  for (const content of ['a', 'b', 'c']) sign(simulator, content)
  const lab = openVerdictLab({ simulator, rule: { signedOnce: true } })
  t.teardown(lab.close)
  t.ok(await lab.verdicts.wasSigned(NAME, digest('a')))
  for (const content of ['d', 'e']) sign(simulator, content)
  lab.pass(60_000)
  const before = simulator.requests.length
  t.ok(await lab.verdicts.wasSigned(NAME, digest('a')))
  t.ok(await lab.verdicts.wasSigned(NAME, digest('d')))
  const asked = simulator.requests.slice(before).filter((file) => /^\d+\.targets\.json$/.test(file))
  t.same(asked, ['6.targets.json', '5.targets.json'], 'the newest, and the one between')
  revoke(simulator)
  lab.pass(60_000)
  t.notOk(await lab.verdicts.wasSigned(NAME, digest('a')), 'and a revocation ends all of it')
  sign(simulator, 'f')
  lab.pass(60_000)
  t.notOk(await lab.verdicts.wasSigned(NAME, digest('a')), 'for good')
})
