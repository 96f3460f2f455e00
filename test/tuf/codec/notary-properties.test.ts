import * as fc from 'fast-check'
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { DEFAULT_LIMITS, isTrustError, notaryCodec } from '../../../tuf/index.ts'
import type { Json, TargetFile, TopRole } from '../../../tuf/index.ts'
import { editBytes, put } from '../../support/edit-json.ts'
import { jsonValue } from '../../support/json-values.ts'
import { readFrom } from '../../support/notary-vectors.ts'

const CONTEXT = { suite: nativeSuite, limits: DEFAULT_LIMITS }
const read = readFrom('04-delta-rsa-root-many-delegations')
const TYPES = ['root', 'timestamp', 'snapshot', 'targets'] as const satisfies readonly TopRole[]

const change = fc.record({
  at: fc.nat(100_000),
  kind: fc.constantFrom('set' as const, 'cut' as const, 'add' as const),
  byte: fc.nat(255),
})

await t.test('no bytes make it throw anything but a TrustError', async (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...TYPES), fc.array(change, { minLength: 1, maxLength: 4 }), (type, changes) => {
      const bytes = changes.reduce(changed, new Uint8Array(read(type)))
      return decodesOrRefuses(type, bytes)
    }),
    { numRuns: 400 },
  )
  t.pass()
})

await t.test('no member, whatever it is, makes it throw anything but a TrustError', async (t) => {
  const place = fc.constantFrom(
    'signed',
    'signatures',
    'signatures/0',
    'signed/expires',
    'signed/version',
    'signed/meta',
    'signed/meta/*',
    'signed/meta/*/hashes',
    'signed/keys',
    'signed/keys/*',
    'signed/keys/*/keyval',
    'signed/roles/root',
    'signed/delegations',
    'signed/delegations/roles',
    'signed/delegations/roles/0',
    'signed/delegations/roles/0/paths',
    'signed/targets/*',
  )
  fc.assert(
    fc.property(fc.constantFrom(...TYPES), place, jsonValue, (type, path, value) =>
      decodesOrRefuses(type, editBytes(read(type), put(path, value))),
    ),
    { numRuns: 400 },
  )
  t.pass()
})

await t.test('what is written is read again as it was', async (t) => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter(isWritable)
  const { body } = notaryCodec.decode('targets', read('targets'), CONTEXT)
  fc.assert(
    fc.property(fc.dictionary(name, fc.tuple(fc.nat(), jsonValue.filter(isWritableJson)), { maxKeys: 8 }), (tags) => {
      const targets = new Map(Object.entries(tags).map(([tag, [length, custom]]) => [tag, target(length, custom)]))
      const written = notaryCodec.assemble({ ...body, targets }, [])
      const decoded = notaryCodec.decode('targets', written, CONTEXT)
      const sorted = (files: ReadonlyMap<string, TargetFile>) => [...files].toSorted(([a], [b]) => (a < b ? -1 : 1))
      t.same(sorted(decoded.body.targets), sorted(targets))
      return Buffer.from(notaryCodec.assemble(decoded.body, [])).equals(written)
    }),
    { numRuns: 200 },
  )
})

function decodesOrRefuses(type: TopRole, bytes: Uint8Array): boolean {
  try {
    const { body } = notaryCodec.decode(type, bytes, CONTEXT)
    return notaryCodec.encode(body).length > 0
  } catch (error) {
    if (isTrustError(error)) return true
    throw error
  }
}

function changed(bytes: Uint8Array, { at, kind, byte }: { at: number; kind: string; byte: number }): Uint8Array {
  if (bytes.length === 0) return bytes
  const index = at % bytes.length
  if (kind === 'set') return bytes.with(index, byte)
  if (kind === 'cut') return bytes.slice(0, index)
  return Uint8Array.of(...bytes.subarray(0, index), byte, ...bytes.subarray(index))
}

function target(length: number, custom: Json): TargetFile {
  return { length, custom, hashes: new Map([['sha256', 'ab'.repeat(32)]]), unknown: new Map() }
}

/** Control characters are no part of any file of Notary. */
function isWritable(text: string): boolean {
  return text.isWellFormed() && [...text].every((char) => char >= ' ')
}

function isWritableJson(value: Json): boolean {
  return isWritable(JSON.stringify(value).replaceAll(/\\u00[01][0-9a-f]|\\[bfnrt]/g, '\n'))
}
