import t from 'tap'
import { startAgent } from '../../support/signers.ts'
import { isSignedBy, isSignedForNotary, openSigning } from '../../support/signing.ts'

const PAYLOAD = Buffer.from('{"_type":"targets"}')

await t.test('a real ssh-agent signs', async (t) => {
  const agent = await startAgent(t)
  const keys = openSigning(t, { env: agent.env })
  const CASES = {
    'with an ed25519 key': { print: agent.add('ed25519', 'alice'), algorithm: 'ed25519' },
    'with an ecdsa P-256 key': { print: agent.add('ecdsa', 'bob'), algorithm: 'ecdsa-p256' },
    'with an ecdsa P-384 key': { print: agent.add('ecdsa -b 384', 'carol'), algorithm: 'ecdsa-p384' },
  }
  for (const [name, { print, algorithm }] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      const key = await keys.find(`ssh:${print}`)
      t.match(key, { algorithm, encrypted: false, signer: `ssh:${print}` })
      const signer = await keys.open(key.id)
      // Of DER that begins with a zero and without: a number's first bit decides.
      for (let i = 0; i < 16; i += 1) {
        const payload = Buffer.concat([PAYLOAD, Buffer.of(i)])
        t.ok(isSignedBy(key.public, payload, await signer.sign(payload)))
        if (algorithm === 'ecdsa-p384') continue
        t.ok(isSignedForNotary(key.public, payload, await signer.sign(payload, 'notary-v1')))
      }
      if (algorithm === 'ecdsa-p384') await t.rejects(signer.sign(PAYLOAD, 'notary-v1'), { code: 'SIGNER_UNFIT' })
      signer.close()
      await t.rejects(signer.sign(PAYLOAD), { code: 'KEY_CLOSED' })
    })
  }
  await t.test('a key that is named counts among the keys of this run', async (t) => {
    t.equal((await keys.index()).length, 3)
    t.same(await keys.list(), [], 'and is not kept')
  })
  await t.test('a key by its comment, whatever else the agent holds', async (t) => {
    t.equal((await keys.find('ssh:alice')).signer, `ssh:${CASES['with an ed25519 key'].print}`)
  })
  await t.test('a kept key, by name and by id, without asking the agent who it is', async (t) => {
    const kept = await keys.importReference('ssh:alice', 'laptop')
    for (const wanted of ['laptop', kept.id, kept.id.slice(0, 8)]) t.equal((await keys.find(wanted)).id, kept.id)
    const signer = await keys.open('laptop')
    t.ok(isSignedBy(kept.public, PAYLOAD, await signer.sign(PAYLOAD)))
    agent.forget()
    await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_FAILED', message: /it has no key SHA256:/ })
  })
})

await t.test('what a real ssh-agent has and cannot do is refused with words', async (t) => {
  const agent = await startAgent(t, { SSH_ASKPASS: '/bin/false', DISPLAY: ':0' })
  const keys = openSigning(t, { env: agent.env })
  agent.add('rsa', 'old')
  agent.add('ed25519', 'twice')
  agent.add('ecdsa', 'twice')
  agent.add('ed25519', 'confirmed', ['-c'])
  const CASES: Record<string, { reference: string; code: string; message: RegExp }> = {
    'an RSA key, which it signs with as nobody verifies': {
      reference: 'ssh:old',
      code: 'SIGNER_UNFIT',
      message: /PSS/,
    },
    'a comment that two keys have': {
      reference: 'ssh:twice',
      code: 'KEY_AMBIGUOUS',
      message: /ssh:SHA256:.*ssh:SHA256:/,
    },
    'a comment that none has': { reference: 'ssh:nobody', code: 'KEY_NOT_FOUND', message: /the ssh-agent/ },
    'no comment at all': { reference: 'ssh:', code: 'SIGNER_MALFORMED', message: /neither/ },
    'a fingerprint in hex': { reference: 'ssh:SHA256:00ff', code: 'SIGNER_MALFORMED', message: /ssh-add -l/ },
  }
  for (const [name, { reference, code, message }] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      await t.rejects(keys.find(reference), { code, message })
      await t.rejects(keys.importReference(reference, 'x'), { code })
      t.same(await keys.list(), [])
    })
  }
  await t.test('a key whose owner does not confirm', async (t) => {
    const signer = await keys.open('ssh:confirmed')
    await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_FAILED', message: /not confirmed/ })
  })
  await t.test('more than an agent takes', async (t) => {
    const signer = await keys.open('ssh:confirmed')
    await t.rejects(signer.sign(Buffer.alloc(256 * 1024)), { code: 'SIGNER_FAILED', message: /256 KiB/ })
  })
  await t.test('a wish for a new key', async (t) => {
    await t.rejects(keys.generateAt('ssh:new', 'ed25519', undefined), { code: 'SIGNER_UNFIT', message: /ssh-keygen/ })
  })
  await t.test('they are named where all of them are listed', async (t) => {
    const offered = await keys.offered('ssh:')
    t.equal(offered.filter((key) => 'id' in key).length, 3)
    t.match(
      offered.filter((key) => 'why' in key),
      [{ label: 'old', why: /PSS/ }],
    )
  })
})

await t.test('without an agent', async (t) => {
  const CASES: Record<string, { env: Record<string, string>; message: RegExp }> = {
    'in the environment': { env: {}, message: /SSH_AUTH_SOCK names none/ },
    'behind the socket that is named': { env: { SSH_AUTH_SOCK: '/nowhere/agent' }, message: /ENOENT/ },
    'but with a file in its place': { env: { SSH_AUTH_SOCK: '/etc/passwd' }, message: /no socket/ },
  }
  for (const [name, { env, message }] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      const keys = openSigning(t, { env })
      await t.rejects(keys.find('ssh:alice'), { code: 'SIGNER_UNAVAILABLE', message })
    })
  }
})
