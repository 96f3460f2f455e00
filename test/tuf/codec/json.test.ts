import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import t from 'tap'
import {
  compareCodePoints,
  decodeJson,
  encodeCanonical,
  encodeText,
  encodeWire,
  isJsonObject,
  isTrustError,
  member,
} from '../../../tuf/index.ts'
import type { Json } from '../../../tuf/index.ts'
import { jsonValue } from '../../support/json-values.ts'

const LIMITS = { depth: 8, what: 'document' }
const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const read = (text: string) => decodeJson(bytesOf(text), LIMITS)

const REFUSED: Record<string, string | Uint8Array> = {
  nothing: '',
  'blanks alone': ' \n',
  'two members of one name': '{"a":1,"a":1}',
  'two members of one name, one written with escapes': '{"a":1,"\\u0061":2}',
  'two members named __proto__': '{"__proto__":1,"__proto__":2}',
  'bytes after the end': '{} x',
  'two documents': '{}{}',
  'a byte order mark': new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]),
  'an overlong UTF-8 sequence': new Uint8Array([0x22, 0xc0, 0xaf, 0x22]),
  'a surrogate in UTF-8': new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
  'a cut UTF-8 sequence': new Uint8Array([0x22, 0xc3]),
  'UTF-16': new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
  'a lone high surrogate': '"\\ud800"',
  'a lone high surrogate in capitals': '"\\uD800"',
  'a lone low surrogate': '"\\udc00"',
  'surrogates the wrong way round': '"\\udc00\\ud800"',
  'a lone surrogate as a member name': '{"\\ud83d":1}',
  'a fraction': '{"a":1.5}',
  'a fraction of zero': '{"a":1.0}',
  'an exponent': '{"a":1e3}',
  'a capital exponent': '{"a":1E3}',
  'minus zero': '{"a":-0}',
  'a leading zero': '{"a":01}',
  'a leading plus': '{"a":+1}',
  'a number with no digits': '{"a":-}',
  'an integer of 2^53': '{"a":9007199254740992}',
  'an integer above 2^53': '{"a":9007199254740993}',
  'an integer below -2^53': '{"a":-9007199254740992}',
  'a number beyond all measure': '1e999',
  NaN: 'NaN',
  'a word of another language': 'True',
  'half a word': '[tru]',
  'a comma too many in an object': '{"a":1,}',
  'a comma too many in a list': '[1,]',
  'a comma alone': '[,]',
  'no colon': '{"a" 1}',
  'no comma': '[1 2]',
  'a name without quotes': '{a:1}',
  'single quotes': "{'a':1}",
  'an open object': '{"a":1',
  'an open list': '[1',
  'an open string': '"a',
  'a line feed within a string': '"a\nb"',
  'a control character within a string': '"\u0001"',
  'an unknown escape': '"\\x41"',
  'an escape at the end': '"\\',
  'three hex digits': '"\\u00a"',
  'hex digits that are none': '"\\u00g0"',
  'a comment': '{}//',
  'blanks of another kind': '\u00a0{}',
  'nesting one too deep': `${'['.repeat(9)}${']'.repeat(9)}`,
  'nesting two hundred thousand deep': '['.repeat(200_000),
  'objects two hundred thousand deep': '{"a":'.repeat(200_000),
}
for (const [name, input] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const bytes = typeof input === 'string' ? bytesOf(input) : input
    t.throws(() => decodeJson(bytes, LIMITS), { name: 'TrustError', code: 'MALFORMED' })
  })
}

const READ: Record<string, [string, Json]> = {
  'all escapes': ['"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9"', '"\\/\b\f\n\r\tAé'],
  'an escaped pair of surrogates': ['"\\ud83d\\ude00"', '😀'],
  'blanks of all four kinds': [' \t\r\n[ 1 , { } , [ ] ] ', [1, {}, []]],
  'the greatest and the least integer': ['[9007199254740991,-9007199254740991]', [2 ** 53 - 1, 1 - 2 ** 53]],
  words: ['[true,false,null]', [true, false, null]],
  'nesting as deep as allowed': [`${'['.repeat(8)}${']'.repeat(8)}`, [[[[[[[[]]]]]]]]],
  'a noncharacter': ['"\ufffe"', '\ufffe'],
}
for (const [name, [text, value]] of Object.entries(READ)) {
  await t.test(`reads ${name}`, async (t) => t.same(read(text), value))
}

await t.test('reads names that objects inherit as any other', async (t) => {
  for (const text of ['{"__proto__":{"x":1},"constructor":2}', '{"constructor":2, "__proto__":{"x":1}}']) {
    const value = read(text)
    t.ok(isJsonObject(value) && isJsonObject(member(value, '__proto__')))
    t.equal(isJsonObject(value) && member(value, 'constructor'), 2)
    t.equal(isJsonObject(value) && member(value, 'toString'), undefined)
    t.equal(encodeWire(value), '{"__proto__":{"x":1},"constructor":2}')
  }
})

await t.test('says where it stopped', async (t) => {
  t.throws(() => read('{"a":1,"a":1}'), { message: /^malformed document: .*"a" at character 10$/ })
})

await t.test('canonical JSON', async (t) => {
  type Case = { name: string; json: string; securesystemslib: string }
  const cases = JSON.parse(readFileSync('test/vectors/tuf-made/canonical.json', 'utf8')) as Case[]
  const refused = new Set(['minus_zero', 'bigint', 'exp', 'float_int', 'float', 'lone_surrogate', 'dup_key'])
  for (const { name, json, securesystemslib } of cases) {
    if (refused.has(name)) t.throws(() => read(json), { code: 'MALFORMED' }, `${name} is refused`)
    else t.equal(Buffer.from(encodeCanonical(read(json))).toString('hex'), securesystemslib, name)
  }
})

await t.test('refuses to sign what has no canonical form', async (t) => {
  for (const value of [1.5, -0, Number.NaN, Infinity, 2 ** 53, '\ud800', ['\udc00'], { '\ud800': 1 }] as const) {
    t.throws(() => encodeCanonical(value), { code: 'MALFORMED' })
  }
})

await t.test('orders by code point, not by UTF-16 unit', async (t) => {
  const names = ['a', 'ab', '\ue000', '\uffee', '😀', '😀a', '😁']
  t.strictSame(names.toReversed().sort(compareCodePoints), names)
  t.equal(compareCodePoints('😀', '😀'), 0)
  const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
  const texts = fc.string({ unit: 'binary' })
  fc.assert(fc.property(texts, texts, (a, b) => Math.sign(compareCodePoints(a, b)) === byBytes(a, b)))
})

await t.test('what is written reads back, in one pass or two, and has one canonical form', async () => {
  fc.assert(
    fc.property(jsonValue, (value) => {
      const wire = encodeText(encodeWire(value))
      const pretty = bytesOf(JSON.stringify(value, null, 2))
      const quick = decodeJson(wire, { depth: 64, what: 'wire' })
      const slow = decodeJson(pretty, { depth: 64, what: 'pretty' })
      return encodeWire(quick) === textOf(wire) && textOf(encodeCanonical(slow)) === textOf(encodeCanonical(quick))
    }),
  )
})

await t.test('whatever the native parser refuses is refused, and nothing but TrustError is thrown', async () => {
  const fragments = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      'u',
      'd8',
      '00',
      'a',
      '1',
      '-',
      '.',
      'e',
      'true',
      'null',
      ' ',
    ),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fragments.map((parts) => parts.join('')),
        fc.json(),
      ),
      (text) => {
        const ours = attempt(() => read(text))
        const native = attempt(() => JSON.parse(text) as Json)
        return ours === undefined || JSON.stringify(ours.value) === JSON.stringify(native?.value)
      },
    ),
    { numRuns: 2000 },
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void attempt(() => decodeJson(bytes, LIMITS))))
})

/** What comes of it, or undefined for a refusal; anything else that is thrown fails the test. */
function attempt(read: () => Json): { readonly value: Json } | undefined {
  try {
    return { value: read() }
  } catch (error) {
    if (isTrustError(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}
