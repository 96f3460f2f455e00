import * as fc from 'fast-check'
import t from 'tap'
import { parseStrictJson } from '../../../client/registry/json.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

const REFUSED: Record<string, string | Uint8Array> = {
  nothing: '',
  'half a document': '{"a":',
  'two documents': '{}{}',
  'a comment': '{}//',
  'a byte order mark': '\ufeff{}',
  'bytes that are no UTF-8': Uint8Array.of(0x22, 0xff, 0x22),
  'a name twice': '{"a":1,"a":2}',
  'a name twice, once written with an escape': '{"a":1,"\\u0061":2}',
  'a name twice with blanks before the colon': '{"a" \n:1,"a"\t:2}',
  'a name twice deep inside': '[{"b":[{"a":1,"a":1}]}]',
  '__proto__ twice': '{"__proto__":1,"__proto__":2}',
  'a name that is half a surrogate pair': '{"\\ud800":1}',
  '65 levels': `${'['.repeat(65)}${']'.repeat(65)}`,
  'a million levels': '['.repeat(1_000_000),
}

await t.test('refuses', async (t) => {
  for (const [name, text] of Object.entries(REFUSED)) {
    await t.test(name, async (t) => {
      t.throws(() => parseStrictJson(typeof text === 'string' ? bytes(text) : text), { name: 'JsonRefused' })
    })
  }
})

const TAKEN: Record<string, string> = {
  'one name in two objects': '[{"a":1},{"a":1},{"b":{"a":1}}]',
  'a value that looks like a name': '{"a":"a","b":"b"}',
  'structure inside of strings': '{"{[\\"":"}]:,","a":["\\\\","{"]}',
  'names that objects have': '{"__proto__":1,"constructor":{"__proto__":2},"hasOwnProperty":3}',
  'numbers that are no integers': '{"a":1.5e300}',
  '64 levels': `${'['.repeat(64)}${']'.repeat(64)}`,
}

await t.test('takes', async (t) => {
  for (const [name, text] of Object.entries(TAKEN)) {
    await t.test(name, async (t) =>
      t.equal(JSON.stringify(parseStrictJson(bytes(text))), JSON.stringify(JSON.parse(text))),
    )
  }
})

await t.test('reads what the engine writes, and refuses it with any member doubled', async (t) => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), fc.boolean(), (text, blanks) => {
      const value: unknown = JSON.parse(text)
      const written = blanks ? JSON.stringify(value, null, 2) : JSON.stringify(value)
      if (JSON.stringify(parseStrictJson(bytes(written))) !== JSON.stringify(value)) return false
      const member = /^\{\s*("(?:[^"\\]|\\.)*")/.exec(written)?.[1]
      return member === undefined || refuses(`{${member}:0,${written.slice(1)}`)
    }),
  )
  t.pass()
})

await t.test('says nothing of what stands in the text', async (t) => {
  t.throws(() => parseStrictJson(bytes('{"auth": hunter2}')), { message: 'it is not JSON', cause: undefined })
})

function refuses(text: string): boolean {
  try {
    parseStrictJson(bytes(text))
    return false
  } catch {
    return true
  }
}
