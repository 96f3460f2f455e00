/** Delegations as teams use them: each with a home of its own, and nobody below the owner has a key of root or targets. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { buildImage } from '../support/images.ts'
import { pushImage, startRegistry, whyNoRegistry } from '../support/registry.ts'
import { openShiftedTown } from '../support/shifted-town.ts'
import type { ShiftedTown } from '../support/shifted-town.ts'

const NOON = Date.parse('2026-06-01T12:00:00Z')
const skip = (await whyNoRegistry()) ?? false
const TAGS = ['1.0', 'nightly-1', 'nightly-2', 'a-1', 'a-2', 'b-1']

/** Several people, one repository. `try` gives the code of what was refused, or nothing. */
async function story(t: Test) {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const repo = `${registry.host}/team/app`
  for (const tag of TAGS) await pushImage(registry, 'team/app', tag, buildImage({ layers: [{ [tag]: '' }] }))
  const town: ShiftedTown = await openShiftedTown(NOON)
  t.teardown(town.close)
  const folder = t.testdir()
  const attempt = async (home: string, command: string) => {
    const { stderr, stdout } = await town.run(home, command.replaceAll('REPO', repo))
    return /\(([A-Z_]+)\)$/m.exec(stderr)?.[1] ?? (stdout.includes('"error"') ? 'ERROR' : undefined)
  }
  const must = async (home: string, command: string) => {
    const { code, stdout, stderr } = await town.run(home, command.replaceAll('REPO', repo))
    if (code !== 0) throw new Error(`${home}: ${command} ended with ${code}: ${stderr}`)
    return stdout.trim()
  }
  const pin = ((await must('owner', 'init REPO --no-passphrase')).split('\n').at(-1) ?? '').replace(/^tagseal /, '')
  /** Somebody with a key of their own; gives the file of its public half. */
  const person = async (name: string) => {
    const id = await must(name, `key generate --name ${name} --no-passphrase`)
    const file = join(folder, `${name}.pem`)
    await writeFile(file, `${await must(name, `key export ${id}`)}\n`)
    await must(name, pin)
    return { name, id, file }
  }
  await must('consumer', pin)
  await must('owner', 'sign REPO:1.0')
  return { town, repo, must, attempt, person }
}

const verified = ({ attempt }: Awaited<ReturnType<typeof story>>, tag: string) =>
  attempt('consumer', `verify REPO:${tag}`)

await t.test('a pipeline may sign nightly builds, for a week, and nothing else', { skip }, async (t) => {
  const own = await story(t)
  const { must, attempt, person, town } = own
  const ci = await person('ci')
  await must('owner', `delegation add REPO nightly --key ${ci.file} --path nightly-* --lifetime 7d`)
  await must('ci', 'sign REPO:nightly-1')
  t.equal(await verified(own, 'nightly-1'), undefined)
  t.equal(await attempt('ci', 'sign REPO:1.0'), 'NO_SIGNING_KEY')
  t.equal(await attempt('ci', 'sign REPO:1.0 --role nightly'), 'TAG_OUT_OF_SCOPE')
  t.match(await must('owner', 'delegation list REPO'), /nightly .* nightly-\* \(for 7d\)/)
  await t.test('its word ends with the week, and a publish renews it', async (t) => {
    await town.sleep(6)
    t.match(
      (await town.run('consumer', `verify ${own.repo}:nightly-1`)).stderr,
      /^warning: nightly of \S+ expires in 24 hours/m,
    )
    await town.sleep(1)
    t.equal(await verified(own, 'nightly-1'), 'EXPIRED')
    t.equal(await verified(own, '1.0'), undefined)
    await must('ci', 'sign REPO:nightly-2')
    t.equal(await verified(own, 'nightly-1'), undefined)
  })
  await t.test('another lifetime needs no key again, and holds from the next publish on', async (t) => {
    await must('owner', 'delegation add REPO nightly --lifetime 30d')
    await must('ci', 'sign REPO:nightly-1 REPO:nightly-2')
    const status = JSON.parse(await must('consumer', 'status REPO --json')) as {
      roles: { role: string; expires: string }[]
    }
    const expires = Date.parse(status.roles.find(({ role }) => role === 'nightly')?.expires ?? '')
    t.ok(expires - town.clock.now >= 6 * 86_400_000)
    const listed = JSON.parse(await must('owner', 'delegation list REPO --json')) as object
    t.match(listed, { delegations: [{ role: 'nightly', lifetime: 30 * 86_400 }] })
  })
})

await t.test(
  'a team is handed over to another one, without root and with no tag refused in between',
  { skip },
  async (t) => {
    const own = await story(t)
    const { must, attempt, person } = own
    const [before, after] = [await person('before'), await person('after')]
    await must('owner', `delegation add REPO team --key ${before.file} --path a-*`)
    await must('before', 'sign REPO:a-1')
    await must('owner', `delegation add REPO team --key ${after.file}`)
    await must('after', 'sign REPO:a-2')
    t.equal(
      await must('owner', `delegation remove REPO team --key ${before.id}`),
      `team of ${own.repo} has no longer the key ${before.id.slice(0, 12)}`,
    )
    for (const tag of ['a-1', 'a-2']) t.equal(await verified(own, tag), undefined, tag)
    t.equal(await attempt('before', 'sign REPO:a-1'), 'NO_SIGNING_KEY')
    t.match(await must('owner', 'status REPO'), /root +version 1 /, 'root was not touched')
    await t.test('its last key is not taken without another', async (t) => {
      t.equal(await attempt('owner', `delegation remove REPO team --key ${after.file}`), 'TOO_FEW_KEYS')
      t.equal(await attempt('owner', `delegation remove REPO team --key ${before.id}`), 'KEY_NOT_IN_ROLE')
      t.equal(await attempt('owner', `delegation remove REPO nobody --key ${before.id}`), 'UNKNOWN_ROLE')
      t.equal(await verified(own, 'a-1'), undefined)
    })
  },
)

await t.test(
  'a lead delegates below, and keeps that when the owner replaces the keys of the lead',
  { skip },
  async (t) => {
    const own = await story(t)
    const { must, attempt, person } = own
    const [lead, second, member] = [await person('lead'), await person('second'), await person('member')]
    await must('owner', `delegation add REPO releases --key ${lead.file} --path a-* --path b-*`)
    t.equal(await attempt('member', `delegation add REPO releases/a --key ${member.file} --path a-*`), 'NO_SIGNING_KEY')
    await must('lead', 'sign REPO:b-1')
    await must('lead', `delegation add REPO releases/a --key ${member.file} --path a-*`)
    await must('member', 'sign REPO:a-1')
    t.equal(await verified(own, 'a-1'), undefined)
    await must('owner', `delegation add REPO releases --key ${second.file}`)
    await must('second', 'sign REPO:b-1 REPO:a-2 --role releases')
    await must('owner', `delegation remove REPO releases --key ${lead.id}`)
    for (const tag of ['a-1', 'a-2', 'b-1']) t.equal(await verified(own, tag), undefined, tag)
    await t.test('the new lead takes the role below away again', async (t) => {
      t.equal(await attempt('lead', 'delegation remove REPO releases/a'), 'NO_SIGNING_KEY')
      await must('second', 'delegation remove REPO releases/a')
      t.equal(await verified(own, 'a-1'), 'TAG_NOT_SIGNED')
    })
  },
)

await t.test('a terminating role has the last word on its tags', { skip }, async (t) => {
  const own = await story(t)
  const { must, attempt, person } = own
  const [first, later] = [await person('first'), await person('later')]
  await must('owner', `delegation add REPO first --key ${first.file} --path a-* --terminating`)
  await must('owner', `delegation add REPO later --key ${later.file} --path *`)
  t.equal(await attempt('later', 'sign REPO:a-1 --role later'), 'TAG_OUT_OF_SCOPE')
  await must('later', 'sign REPO:b-1')
  await must('first', 'sign REPO:a-1')
  for (const tag of ['a-1', 'b-1']) t.equal(await verified(own, tag), undefined, tag)
})

/** Strings as ssh writes them, each with its length before it. */
function wire(...parts: readonly string[]): string {
  const lengths = parts.map((part) => Buffer.from([0, 0, part.length >> 8, part.length & 255]))
  return Buffer.concat(
    parts.flatMap((part, i) => [lengths[i] ?? Buffer.alloc(0), Buffer.from(part, 'latin1')]),
  ).toString('base64')
}

const KEYS: Readonly<Record<string, { readonly key: string; readonly code: string | undefined }>> = {
  'an ssh key of Ed25519': {
    key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkLEfQwMFcw2cXSxi8lGb0FB7mnPMRHpBpjjFqLBJNM ci',
    code: undefined,
  },
  'an RSA key of ssh, which signs otherwise': {
    key: `ssh-rsa ${wire('ssh-rsa', '\u0001\u0000\u0001', `\u0000${'\u00c5'.repeat(256)}`)} ci`,
    code: 'SIGNER_UNFIT',
  },
  'a key on a stick, which signs more than it is given': {
    key: 'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t ci',
    code: 'SIGNER_UNFIT',
  },
  'no lifetime': { key: 'x', code: 'KEY_NOT_FOUND' },
}
await t.test('keys as people have them', { skip }, async (t) => {
  const { town, repo } = await story(t)
  for (const [name, { key, code }] of Object.entries(KEYS)) {
    await t.test(`${code === undefined ? 'takes' : 'refuses'} ${name}`, async (t) => {
      const { stderr } = await town.runWords('owner', [
        'delegation',
        'add',
        repo,
        'team',
        '--path',
        'a-*',
        '--key',
        key,
      ])
      t.equal(/\(([A-Z_]+)\)$/m.exec(stderr)?.[1], code, stderr)
    })
  }
  for (const lifetime of ['30', '0d', '59m', '99999w', 'a week']) {
    await t.test(`refuses the lifetime "${lifetime}"`, async (t) => {
      const { code, stderr } = await town.runWords('owner', ['delegation', 'add', repo, 'team', '--lifetime', lifetime])
      t.equal(code, 2)
      t.match(stderr, /is no lifetime \(USAGE\)/)
    })
  }
})
