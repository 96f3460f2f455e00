import * as fc from 'fast-check'
import type { Json } from '../../tuf/index.ts'

const name = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    '10',
    '9',
    '',
    '\ufb01',
    '😀',
    '\ue000',
    'a"b\\c',
    '\u0000\n',
  ),
)

/** Any document that has one reading: integers within 2^53, whole characters, any member name. */
export const jsonValue: fc.Arbitrary<Json> = fc.letrec<{ value: Json; list: Json; object: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((integer) => integer + 0),
    name,
    tie('list'),
    tie('object'),
  ),
  list: fc.array(tie('value'), { maxLength: 6 }),
  object: fc.dictionary(name, tie('value'), { maxKeys: 6, noNullPrototype: false }),
})).value
