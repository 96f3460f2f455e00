/** Documents that two parsers would read in two ways: whoever signs one reading must not be taken for the other. */
import t from 'tap'
import { TARGETS, TIMESTAMP } from '../../tuf/index.ts'
import { openLab, refuseAll, rewrite } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { sha256 } from '../support/images.ts'
import { setTag, signTargets } from '../server/support/party.ts'
import { edited, refuseUploads } from '../support/upload-lab.ts'
import type { UploadAttack } from '../support/upload-lab.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

/** Texts in which the key's holder signed both readings at once. */
const SIGNED: Record<string, (text: string) => string> = {
  'a version that is there twice': (text) => text.replace(/"version":([0-9]+)\}$/, '"version":9,"version":$1}'),
  'a member that is there twice, once escaped': (text) => text.replace(/\}$/, String.raw`,"versio\u006e":9}`),
  'a version with a fraction of nothing': (text) => text.replace(/"version":([0-9]+)\}$/, '"version":$1.0}'),
  'a version with an exponent': (text) => text.replace(/"version":[0-9]+\}$/, '"version":1e1}'),
  'a version of minus nothing': (text) => text.replace(/"version":[0-9]+\}$/, '"version":-0}'),
  'a version with a zero before it': (text) => text.replace(/"version":([0-9]+)\}$/, '"version":0$1}'),
  'a number that no double holds': (text) => text.replace(/\}$/, ',"x":9007199254740993}'),
  'a number without an end': (text) => text.replace(/\}$/, ',"x":1e400}'),
  'what is no number': (text) => text.replace(/\}$/, ',"x":NaN}'),
  'half of a surrogate pair': (text) => text.replace(/\}$/, String.raw`,"x":"\ud800"}`),
  'the halves of a surrogate pair in the wrong order': (text) => text.replace(/\}$/, String.raw`,"x":"\udc00\ud800"}`),
  'a line break in a text': (text) => text.replace(/\}$/, ',"x":"\n"}'),
  'a comment': (text) => text.replace(/\}$/, '/* */}'),
  'a comma too many': (text) => text.replace(/\}$/, ',}'),
  'text in single quotes': (text) => text.replace(/\}$/, `,"x":'y'}`),
  'nesting two hundred thousand deep': (text) =>
    text.replace(/\}$/, `,"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`),
  'nesting one level too deep': (text) => text.replace(/\}$/, `,"x":${'['.repeat(63)}${']'.repeat(63)}}`),
  'another type': (text) => text.replace(/"_type":"(.)/, (_, first: string) => `"_type":"${first.toUpperCase()}`),
  'no type': (text) => text.replace(/"_type":"[a-z]+",/, ''),
  'a specification of another age': (text) => text.replace(/"spec_version":"1/, '"spec_version":"2'),
  'a date with an offset': (text) => text.replace(/("expires":"[^"]+)Z"/, '$1+00:00"'),
  'a day that no calendar has': (text) => text.replace(/("expires":")[^"]+/, '$12027-02-30T00:00:00Z'),
}
/** Bytes that are no JSON text, around what was well signed. */
const RAW: Record<string, (file: Buffer) => Uint8Array> = {
  'a byte order mark': (file) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), file]),
  'a byte after the end': (file) => Buffer.concat([file, Buffer.from('x')]),
  'a second document after the end': (file) => Buffer.concat([file, file]),
  'a NUL after the end': (file) => Buffer.concat([file, Buffer.from([0])]),
  'bytes that are no UTF-8': (file) =>
    Buffer.from(file.toString('latin1').replace('"signed":{', '"signed":{"\xff":1,'), 'latin1'),
  'a slash in two bytes': (file) =>
    Buffer.from(file.toString('latin1').replace('"signed":{', '"signed":{"\xc0\xaf":1,'), 'latin1'),
  'UTF-16': (file) => Buffer.from(file.toString(), 'utf16le'),
  'signatures that are there twice': (file) => Buffer.from(file.toString().replace('{', '{"signatures":[],')),
  'a signed part that is there twice': (file) => Buffer.from(file.toString().replace('{', '{"signed":{"_type":"x"},')),
  nothing: () => Buffer.alloc(0),
  blanks: () => Buffer.from(' \n'),
  null: () => Buffer.from('null'),
  'a list': () => Buffer.from('[]'),
  'an object of nothing': () => Buffer.from('{}'),
  'half of it': (file) => file.subarray(0, file.length / 2),
}
const mend = (simulator: Simulator) => simulator.release()
const refused = (attack: (simulator: Simulator) => void, i: number) => ({
  attack: (simulator: Simulator) => {
    simulator.publishTimestamp()
    attack(simulator)
  },
  code: 'MALFORMED',
  after: mend,
  libraryOnly: i > 0,
  library: { limits: { timestamp: 1_000_000 } },
})

await refuseAll(
  t,
  Object.fromEntries<Attack>([
    ...Object.entries(SIGNED).map(([name, edit], i): [string, Attack] => [
      name,
      refused((simulator) => rewrite(simulator, TIMESTAMP, edit), i),
    ]),
    ...Object.entries(RAW).map(([name, edit]): [string, Attack] => [
      name,
      refused((simulator) => {
        simulator.files.set('timestamp.json', edit(Buffer.from(simulator.file('timestamp.json'))))
      }, 1),
    ]),
  ]),
)

/** What is read in one way only, though it looks odd. */
const TAKEN: Record<string, (text: string) => string> = {
  'a member whose name differs in case': (text) => text.replace(/\}$/, ',"Version":1}'),
  'a member called __proto__': (text) => text.replace(/\}$/, ',"__proto__":{"targets":{},"version":1}}'),
  'a member that nobody knows': (text) => text.replace(/\}$/, ',"a":1}'),
}
for (const [name, edit] of Object.entries(TAKEN)) {
  await t.test(`reads ${name} as it stands, and changes no meaning`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    lab.simulator.publishTargets({ set: new Map([['1.0', targetOf('two')]]) })
    rewrite(lab.simulator, TARGETS, (text) => sorted(edit(text)))
    lab.simulator.release()
    t.equal(await lab.library(), sha256(Buffer.from('two')))
    await t.rejects(lab.library({}, 'version'), { code: 'TAG_NOT_SIGNED' })
  })
}

await t.test('blanks between members, which nobody signed, change no meaning', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  const file = Buffer.from(lab.simulator.file('timestamp.json')).toString()
  lab.simulator.files.set('timestamp.json', Buffer.from(JSON.stringify(JSON.parse(file), null, 2)))
  t.equal(await lab.library(), sha256(Buffer.from('one')))
})

await refuseUploads(
  t,
  Object.fromEntries<UploadAttack>([
    ...Object.entries(SIGNED).map(([name, edit]): [string, UploadAttack] => [
      name,
      {
        send: async ({ owner, now }) => {
          setTag(owner, now, 'x', 'x')
          return { targets: await edited(await signTargets(owner), edit, owner.targetsKey) }
        },
        code: 'INVALID_UPDATE',
        inner: 'MALFORMED',
      },
    ]),
    ...Object.entries(RAW).map(([name, edit]): [string, UploadAttack] => [
      name,
      {
        send: async ({ owner, now }) => {
          setTag(owner, now, 'x', 'x')
          return { targets: edit(Buffer.from(await signTargets(owner))) }
        },
        code: 'INVALID_UPDATE',
        inner: 'MALFORMED',
      },
    ]),
  ]),
)

/** The canonical order, so that what was signed as text is what canonicalising gives. */
function sorted(text: string): string {
  const members = Object.entries(JSON.parse(text.replaceAll('__proto__', '_prot_')) as Record<string, unknown>)
  const ordered = members.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(Object.fromEntries(ordered)).replaceAll('_prot_', '__proto__')
}
