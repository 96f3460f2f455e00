import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { generateKey } from '../../keys/native/generate.ts'
import { ALGORITHMS } from '../../keys/schemes/table.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import type { Suite } from '../../tuf/model/suite.ts'
import { ECDSA_CASES } from '../support/ecdsa-cases.ts'
import { ED25519_CASES } from '../support/ed25519-cases.ts'
import { rsaCases } from '../support/rsa-cases.ts'
import type { SignatureCases } from '../support/signature-case.ts'
import { listed } from '../support/tuf-key.ts'

/** What any suite must do; run over every suite, so that none accepts what another refuses. */
export async function suiteContract(t: Test, suite: Suite): Promise<void> {
  await hashes(t, suite)
  await opensWhatWeWrite(t, suite)
  for (const [group, cases] of Object.entries({ Ed25519: ED25519_CASES, ECDSA: ECDSA_CASES, 'RSA-PSS': rsaCases() })) {
    await t.test(group, async (t) => table(t, suite, cases))
  }
}

async function table(t: Test, suite: Suite, cases: SignatureCases): Promise<void> {
  for (const [name, asked] of Object.entries(cases)) {
    const verifier = suite.open(asked.key)
    if ('opens' in asked) t.equal(verifier, undefined, name)
    else t.equal(verifier?.verify(asked.payload, asked.signature), asked.holds, name)
  }
}

async function opensWhatWeWrite(t: Test, suite: Suite): Promise<void> {
  for (const algorithm of ALGORITHMS) {
    await t.test(`checks what a new ${algorithm} key signs`, async (t) => {
      const [secret, other] = [await generateKey(algorithm), await generateKey(algorithm)]
      const payload = new TextEncoder().encode(algorithm)
      const signature = await secret.sign(payload)
      const own = suite.open(listed(toTufFields(secret.public)))
      const foreign = suite.open(listed(toTufFields(other.public)))
      t.equal(own?.verify(payload, signature), true)
      t.equal(own?.verify(payload.subarray(1), signature), false)
      t.equal(foreign?.verify(payload, signature), false, 'another key')
      t.equal(own?.identity, createHash('sha256').update(secret.public.spki).digest('hex'))
      t.not(own?.identity, foreign?.identity)
      secret.close()
      other.close()
    })
  }
}

async function hashes(t: Test, suite: Suite): Promise<void> {
  await t.test('hashes at once and in parts alike', async (t) => {
    const bytes = new TextEncoder().encode('abc'.repeat(1000))
    for (const name of ['sha256', 'sha512'] as const) {
      const hasher = suite.hasher(name)
      for (let at = 0; at < bytes.length; at += 7) hasher.update(bytes.subarray(at, at + 7))
      const expected = createHash(name).update(bytes).digest('hex')
      t.equal(hasher.hex(), expected)
      t.equal(suite.hash(name, bytes), expected)
      t.equal(suite.hash(name, new Uint8Array()), createHash(name).digest('hex'))
    }
  })
}
