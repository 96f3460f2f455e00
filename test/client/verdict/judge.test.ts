import t from 'tap'
import { roleName, TARGETS } from '../../../tuf/index.ts'
import type { SignedRule } from '../../../client/verdict/rule.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'
import type { DelegateOptions } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'
import { NAME, openVerdictLab } from '../../support/verdict-lab.ts'

const [RELEASES, QA, INNER] = ['releases', 'qa', 'inner'].map((name) => roleName(name))
if (RELEASES === undefined || QA === undefined || INNER === undefined) throw new Error('no roles')
const TAG = '1.0'

type Case = {
  readonly roles?: readonly (readonly [typeof RELEASES, string | undefined, DelegateOptions?, typeof RELEASES?])[]
  readonly targets?: string
  readonly rule: Partial<SignedRule>
  readonly refused?: string
}
const two = { signers: [signingKey('ed25519'), signingKey('ed25519')], threshold: 2 }
const CASES: Record<string, Case> = {
  'a tag by the role that counts': { roles: [[RELEASES, 'one']], rule: { roles: new Set(['releases']) } },
  'a tag by another role than those that count': {
    roles: [[RELEASES, 'one']],
    rule: { roles: new Set(['targets']) },
    refused: 'ROLE_NOT_COUNTED',
  },
  'a tag by a role that does not count before one that does': {
    targets: 'one',
    roles: [[RELEASES, 'one']],
    rule: { roles: new Set(['releases']) },
    refused: 'ROLE_NOT_COUNTED',
  },
  'a tag that the required role signed too': {
    roles: [
      [RELEASES, 'one'],
      [QA, 'one'],
    ],
    rule: { require: ['qa'] },
  },
  'a tag that the required role signed as another image': {
    roles: [
      [RELEASES, 'one'],
      [QA, 'two'],
    ],
    rule: { require: ['qa'] },
    refused: 'ROLE_REQUIRED',
  },
  'a tag that the required role never signed': {
    roles: [
      [RELEASES, 'one'],
      [QA, undefined],
    ],
    rule: { require: ['qa'] },
    refused: 'ROLE_REQUIRED',
  },
  'a tag where the required role does not exist': {
    roles: [[RELEASES, 'one']],
    rule: { require: ['qa'] },
    refused: 'ROLE_REQUIRED',
  },
  'a tag where the required role is not trusted for it': {
    roles: [
      [RELEASES, 'one'],
      [QA, 'one', { paths: ['dev-*'] }],
    ],
    rule: { require: ['qa'] },
    refused: 'ROLE_REQUIRED',
  },
  'a tag where the required role comes after a terminating one': {
    roles: [
      [RELEASES, 'one', { terminating: true }],
      [QA, 'one'],
    ],
    rule: { require: ['qa'] },
    refused: 'ROLE_REQUIRED',
  },
  'a tag that a role of a role signed, where that is required': {
    targets: 'one',
    roles: [
      [RELEASES, undefined],
      [INNER, 'one', {}, RELEASES],
    ],
    rule: { require: ['inner'] },
  },
  'a tag by a role of two keys, where two are asked': { roles: [[RELEASES, 'one', two]], rule: { threshold: 2 } },
  'a tag by a role of one key, where two are asked': {
    roles: [[RELEASES, 'one']],
    rule: { threshold: 2 },
    refused: 'THRESHOLD_REQUIRED',
  },
  'a tag by the targets role of one key, where two are asked': {
    targets: 'one',
    rule: { threshold: 2 },
    refused: 'THRESHOLD_REQUIRED',
  },
}

for (const [name, { roles = [], targets, rule, refused }] of Object.entries(CASES)) {
  await t.test(`${refused === undefined ? 'admits' : 'refuses'} ${name}`, async (t) => {
    const simulator = new Simulator()
    if (targets !== undefined) simulator.sign({ [TAG]: targetOf(targets) })
    for (const [role, content, options, delegator = TARGETS] of roles) {
      simulator.delegate(delegator, role, options)
      simulator.sign(content === undefined ? {} : { [TAG]: targetOf(content) }, role)
    }
    const lab = openVerdictLab({ simulator, rule })
    t.teardown(lab.close)
    const judged = lab.verdicts.judge({ name: NAME, tag: TAG })
    if (refused !== undefined) return void (await t.rejects(judged, { code: refused }))
    t.match(await judged, { digest: `sha256:${targetOf('one').hashes.get('sha256')}` })
  })
}
