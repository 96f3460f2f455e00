import { chmodSync, chownSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseCommand } from '../../../keys/signers/exec/command.ts'
import { openssl, privateFolder } from '../../support/secrets.ts'
import { exampleProgram, exampleSigner, shellSigner } from '../../support/signers.ts'
import { isSignedBy, isSignedForNotary, openSigning } from '../../support/signing.ts'

const PAYLOAD = Buffer.from('{"_type":"targets"}')

await t.test('a reference is taken apart', async (t) => {
  const GOOD: Record<string, { reference: string; program: string; args: readonly string[] }> = {
    'a program alone': { reference: 'exec:/bin/x', program: '/bin/x', args: [] },
    'with arguments in their order': {
      reference: 'exec:/bin/x?arg=a&arg=b%26c%3Dd',
      program: '/bin/x',
      args: ['a', 'b&c=d'],
    },
    'with what a shell would take for its own': {
      reference: 'exec:/bin/x%20y?arg=$(id);%60id%60',
      program: '/bin/x y',
      args: ['$(id);`id`'],
    },
  }
  for (const [name, { reference, program, args }] of Object.entries(GOOD)) {
    await t.test(name, async (t) => t.same(parseCommand(reference), { program, args }))
  }
  const BAD: Record<string, string> = {
    'a name to be looked for in PATH': 'exec:openssl',
    'a relative path': 'exec:./signer',
    'a URL': 'exec://host/bin/x/../y?q=1',
    'two question marks': 'exec:/bin/x?arg=a?arg=b',
    'something else than arguments': 'exec:/bin/x?timeout=1',
    'an argument without its name': 'exec:/bin/x?a',
    'half a percent-encoding': 'exec:/bin/x?arg=%f',
    'a hidden line break': 'exec:/bin/x?arg=a%0Ab',
    'a hidden zero': 'exec:/bin/x%00',
  }
  for (const [name, reference] of Object.entries(BAD)) {
    await t.test(`not ${name}`, async (t) => {
      t.throws(() => parseCommand(reference), { code: 'SIGNER_MALFORMED' })
    })
  }
})

await t.test('where openssl cannot sign, the example ends as it does', async (t) => {
  const dir = privateFolder(t)
  const reference = exampleSigner(t, 'ed25519')
  const file = decodeURIComponent(/arg=(.*)$/.exec(reference)?.[1] ?? '')
  const keys = openSigning(t, { dir })
  const key = await keys.importReference(reference, undefined)
  chmodSync(file, 0o600)
  writeFileSync(file, 'no key')
  const signing = (await keys.open(key.id)).sign(PAYLOAD)
  await t.rejects(signing, { code: 'SIGNER_FAILED', message: /it ended with code [1-9]/ })
})

await t.test('the example of the guide signs', async (t) => {
  for (const algorithm of ['ed25519', 'ecdsa-p256', 'ecdsa-p384', 'rsa-pss'] as const) {
    await t.test(`with ${algorithm}, which its key decides`, async (t) => {
      const keys = openSigning(t)
      const key = await keys.find(exampleSigner(t, algorithm))
      t.equal(key.algorithm, algorithm)
      t.ok(isSignedBy(key.public, PAYLOAD, await (await keys.open(key.id)).sign(PAYLOAD)))
      const signature = await (await keys.open(key.id)).sign(PAYLOAD, 'notary-v1')
      t.ok(isSignedForNotary(key.public, PAYLOAD, signature), 'and for Notary v1')
      // More than a pipe holds, so that reading and writing must go on side by side.
      const large = Buffer.alloc(3_000_000, 0x20)
      t.ok(isSignedBy(key.public, large, await (await keys.open(key.id)).sign(large)))
    })
  }
})

await t.test('a program that can makes a key of the scheme it is told', async (t) => {
  const program = exampleProgram(t)
  const keys = openSigning(t)
  for (const algorithm of ['ed25519', 'ecdsa-p256', 'ecdsa-p384'] as const) {
    const reference = `exec:${program}?arg=${encodeURIComponent(privateFolder(t))}&arg=one`
    const made = await keys.generateAt(reference, algorithm, undefined)
    t.equal(made.algorithm, algorithm)
    t.ok(isSignedBy(made.public, PAYLOAD, await (await keys.open(made.id)).sign(PAYLOAD)))
    await t.rejects(keys.generateAt(reference, algorithm, undefined), { code: 'SIGNER_FAILED' }, 'once')
  }
})

await t.test('a program that cannot makes none', async (t) => {
  const making = (reference: string) => openSigning(t).generateAt(reference, 'ed25519', undefined)
  await t.rejects(making('exec:/bin/true'), { code: 'SIGNER_FAILED' })
  await t.rejects(making(exampleSigner(t, 'ed25519')), { code: 'SIGNER_FAILED' })
})

await t.test('a program runs in an environment without our secrets, and what it says is passed on', async (t) => {
  const pem = openssl(['pkey', '-pubout'], openssl(['genpkey', '-algorithm', 'ed25519']))
  const seen = join(privateFolder(t), 'seen')
  const script = `
echo "unlocking" >&2; printf 'and \\033[2Jmore' >&2
if [ "$1" = describe ]; then printf '%s' '${pem.trimEnd()}'; else
  { pwd; echo "$# $*"; env | grep ^TAGSEAL_ | sort; echo "$AWS_PROFILE"; } > ${seen}; cat >/dev/null; fi`
  const keys = openSigning(t, { env: { PATH: process.env['PATH'], AWS_PROFILE: 'prod' } })
  const signer = await keys.open(`${shellSigner(t, script)}?arg=two%20words`)
  t.same(keys.said, ['signer: unlocking', 'signer: and \u001b[2Jmore'], 'the terminal makes it printable')
  await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_FAILED' })
  const [folder, given, ...rest] = linesOf(seen)
  t.same([folder, given], ['/', '2 sign two words'])
  t.equal(rest.at(-1), 'prod')
  t.match(rest.slice(0, -1), [
    'TAGSEAL_SIGNER_HASH=none',
    /^TAGSEAL_SIGNER_KEY=[0-9a-f]{64}$/,
    'TAGSEAL_SIGNER_PROTOCOL=1',
    'TAGSEAL_SIGNER_SCHEME=ed25519',
  ])
})

await t.test('a program that others could change is not started', async (t) => {
  const ran = join(privateFolder(t), 'ran')
  const script = `touch ${ran}`
  const CASES: Record<string, { spoil: (program: string) => string; code: string; skip?: string | false }> = {
    'everybody may write it': { spoil: (program) => changed(program, 0o777), code: 'KEY_PERMISSIONS' },
    'a group may write it': { spoil: (program) => changed(program, 0o770), code: 'KEY_PERMISSIONS' },
    'a link leads to such a one': { spoil: (program) => linked(changed(program, 0o722)), code: 'KEY_PERMISSIONS' },
    'it belongs to somebody else': {
      spoil(program) {
        chownSync(program, 65534, 65534)
        return program
      },
      code: 'KEY_PERMISSIONS',
      skip: process.getuid?.() !== 0 && 'only root can give it away',
    },
    'it is not executable': { spoil: (program) => changed(program, 0o600), code: 'SIGNER_UNAVAILABLE' },
    'it is a folder': { spoil: (program) => join(program, '..'), code: 'SIGNER_UNAVAILABLE' },
    'it is not there': { spoil: (program) => `${program}.gone`, code: 'SIGNER_UNAVAILABLE' },
    'what it wants to be read by is not there': {
      spoil(program) {
        writeFileSync(program, '#!/no/such/shell\n')
        return program
      },
      code: 'SIGNER_UNAVAILABLE',
    },
  }
  for (const [name, { spoil, code, skip = false }] of Object.entries(CASES)) {
    await t.test(name, { skip }, async (t) => {
      const program = spoil(shellSigner(t, script).slice('exec:'.length))
      await t.rejects(openSigning(t).find(`exec:${program}`), { code })
      t.notOk(existsSync(ran))
    })
  }
  await t.test('and a link to a good one is', async (t) => {
    const program = linked(shellSigner(t, script).slice('exec:'.length))
    await t.rejects(openSigning(t).find(`exec:${program}`), { code: 'SIGNER_FAILED' })
    t.ok(existsSync(ran))
  })
})

function changed(program: string, mode: number): string {
  chmodSync(program, mode)
  return program
}

function linked(program: string): string {
  symlinkSync(program, `${program}.link`)
  return `${program}.link`
}

function linesOf(path: string): readonly string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n')
}
