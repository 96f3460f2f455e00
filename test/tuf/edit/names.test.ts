import t from 'tap'
import { newRoleName, refusePattern, refuseTag, refuseTargetPath } from '../../../tuf/index.ts'

type Row = {
  readonly check: (name: string) => unknown
  readonly good: readonly string[]
  readonly bad: readonly string[]
}

const TABLE: Readonly<Record<string, Row>> = {
  tag: {
    check: refuseTag,
    good: ['latest', '1.4', '10', '_x', 'v1.2.3-rc.1_build', 'A', 'a'.repeat(128)],
    bad: ['', '.x', '-x', 'a/b', 'a:b', 'a b', 'é', 'a'.repeat(129), 'v1\n', '..', '@', 'a@sha256'],
  },
  'role name': {
    check: newRoleName,
    good: ['releases', 'targets/releases', 'team-a', 'bins-0f', 'a.b', 'a__b', '2fa', 'a/1', 'a'.repeat(128)],
    bad: `root timestamp snapshot targets mirrors 1 42 1.root 3.x x.json Team é /a a/ a//b ../a a/.. . .. .a -a a- a\\b
      a%2fb a?b a#b __proto__ x.${'0f'.repeat(32)} ${'a'.repeat(129)}`.split(/\s+/),
  },
  'role name with blanks': { check: newRoleName, good: [], bad: ['', ' ', 'a b', 'a\n', '\ta'] },
  'target path': {
    check: refuseTargetPath,
    good: ['latest', 'library/alpine', 'a b', 'é', 'a@sha256:00', '10', '*', 'a'.repeat(1024)],
    bad: ['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', './a', 'a#b', 'a?b', 'a%20b', 'a\\b', 'a'.repeat(1025)],
  },
  'target path of odd characters': {
    check: refuseTargetPath,
    good: ['ü/ß/中'],
    bad: ['a\u0000', 'a\u007f', 'a\nb', 'e\u0301', 'a\u202eb', 'a\u2028b', '\ud800', '😀', '\ue000'],
  },
  pattern: {
    check: refusePattern,
    good: ['*', 'v?', 'releases/*', 'v1.*-rc.?'],
    bad: ['', '/*', 'a//*', '../*', '#*', 'a\\*', 'e\u0301*', '*'.repeat(1025)],
  },
}

for (const [what, { check, good, bad }] of Object.entries(TABLE)) {
  for (const name of good)
    await t.test(`writes the ${what} ${clip(name)}`, async (t) => t.doesNotThrow(() => check(name)))
  for (const name of bad) {
    await t.test(`refuses to write the ${what} ${clip(name)}`, async (t) => {
      t.throws(() => check(name), { name: 'TrustError', code: 'MALFORMED' })
    })
  }
}

/** Some of these would be directives in a test report. */
function clip(name: string): string {
  return `"${encodeURIComponent(name.slice(0, 40).toWellFormed())}"`
}
