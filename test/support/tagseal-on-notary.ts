import { execFile } from 'node:child_process'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { codeOf, documentOf, tagseal as startTagseal } from './cli.ts'
import type { Ran } from './cli.ts'
import { buildImage } from './images.ts'
import { tagsealHere } from './in-process.ts'
import { NOTARY_PASSPHRASES } from './notary.ts'
import { openNotaryTown, targetsIn } from './notary-town.ts'
import type { Start } from './notary-town.ts'
import { pushImage, startRegistry } from './registry.ts'
import { pinFrom } from './town.ts'

const run = promisify(execFile)

/** Somebody with our client. */
type Tagseal = {
  readonly home: string
  /** Throws what it printed unless it ends with 0. */
  readonly run: (command: string) => Promise<string>
  readonly try: (command: string) => Promise<Ran>
  readonly json: (command: string) => Promise<unknown>
}

/** The servers, which start once for all stories. */
async function openWorld(t: Test, start: Start) {
  const [town, registry] = await Promise.all([openNotaryTown(t, start), startRegistry()])
  t.teardown(registry.stop)
  return { town, registry }
}
type World = Awaited<ReturnType<typeof openWorld>>

let stories = 0

/** A repository that nobody has heard of, and people whom no other story knows. */
async function openPlace(t: Test, { town, registry }: World) {
  const story = `story-${++stories}`
  const repo = `${registry.host}/${story}/app`
  const folder = t.testdir()
  const tagsealOf = (name: string, program: typeof startTagseal = tagsealHere): Tagseal => {
    const home = join(folder, name)
    const env = { TAGSEAL_HOME: home, TAGSEAL_SERVER: town.url, TAGSEAL_CA: town.certificate.ca, HOME: home }
    const attempt = (command: string) => program(command.split(' '), { env: { ...NOTARY_PASSPHRASES, ...env } })
    const must = async (command: string) => {
      const ran = await attempt(command)
      if (ran.code !== 0) throw new Error(`tagseal ${command} ended with ${ran.code}: ${ran.stdout}${ran.stderr}`)
      return ran
    }
    return {
      home,
      try: attempt,
      run: async (command) => (await must(command)).stdout,
      json: async (command) => documentOf(await must(`${command} --json`)),
    }
  }
  return {
    ...town,
    user: (name: string) => town.user(`${story}-${name}`),
    repo,
    folder,
    tagseal: tagsealOf,
    push: async (tag: string) =>
      await pushImage(registry, `${story}/app`, tag, buildImage({ layers: [{ [tag]: tag }] })),
    get: async (file: string) => {
      const url = `${town.url}/v2/${repo}/_trust/tuf/${file}`
      return (await run('curl', ['-sf', '--cacert', town.certificate.ca, '-H', 'Accept:', url])).stdout
    },
  }
}
type Place = Awaited<ReturnType<typeof openPlace>>

/** A repository that our client made, and its owner. */
async function founded(t: Test, world: World) {
  const place = await openPlace(t, world)
  const owner = place.tagseal('owner')
  const made = await owner.try(`init ${place.repo} --dialect notary --no-passphrase`)
  t.equal(made.code, 0, made.stderr)
  // The certificate lies beside whoever runs that line, or is named as it lies here.
  const pin = pinFrom(made)
    .join(' ')
    .replace(/(?<=--ca )\S+/, place.certificate.ca)
  return { ...place, owner, pin }
}

/** Everybody who shall see the same: ours under the pin, and a `notary` without a past. */
async function seenBy({ repo, tagseal, user }: Place, pin: string, name: string) {
  const consumer = tagseal(name)
  await consumer.run(pin)
  const { tags } = (await consumer.json(`list ${repo}`)) as { tags: { tag: string; role: string }[] }
  const theirs = targetsIn(await user(name).run(`list ${repo}`))
  return { ours: tags.map(({ tag, role }) => `${tag} ${role}`), theirs: theirs.toSorted() }
}

/** Our client on Notary repositories, beside the original one. */
export async function tagsealOnNotary(t: Test, start: Start): Promise<void> {
  const world = await openWorld(t, start)
  await t.test('a repository that tagseal made is one that notary would make', async (t) => {
    const place = await founded(t, world)
    const { repo, owner, user, push, get, pin, folder } = place
    const { digest } = await push('1.0')
    const root = JSON.parse(await get('root.json')) as {
      signed: { keys: Record<string, { keytype: string; keyval: { public: string } }>; expires: string }
    }
    t.same(Object.keys(root.signed), ['_type', 'consistent_snapshot', 'expires', 'keys', 'roles', 'version'])
    t.match(root.signed, { _type: 'Root', consistent_snapshot: false, version: 1 })
    t.match(root.signed.expires, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const [id = '', certified] = Object.entries(root.signed.keys).find(([, key]) => key.keytype === 'ecdsa-x509') ?? []
    t.match(pin, `--key ${id} `)
    const certificate = join(folder, 'root.crt')
    await writeFile(certificate, Buffer.from(certified?.keyval.public ?? '', 'base64'))
    const { stdout } = await run('openssl', ['x509', '-in', certificate, '-noout', '-text'])
    t.match(stdout, `Subject: CN = ${repo}\n`)

    t.equal(await owner.run(`sign ${repo}:1.0`), `${repo}:1.0@${digest}\n`)
    t.match(await user('anna').run(`lookup ${repo} 1.0`), `1.0 sha256:${digest.slice(7)}`)
    const pinning = { certs: { [repo]: [id] }, disable_tofu: true }
    t.match(await pinned(place, 'bob', pinning, `lookup ${repo} 1.0`), digest.slice(7), 'with the certificate pinned')
    const consumer = place.tagseal('consumer')
    await consumer.run(pin)
    t.equal(await consumer.run(`verify ${repo}:1.0`), `${repo}@${digest}\n`)
  })

  await t.test('a root key with a certificate of its own', async (t) => {
    const place = await openPlace(t, world)
    const { repo, user, push, tagseal, folder } = place
    const owner = tagseal('owner')
    const [key, wrong] = [join(folder, 'root.key'), join(folder, 'wrong.crt')]
    const certificate = join(folder, 'root.crt')
    await run('openssl', ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', key])
    const config = join(folder, 'openssl.cnf')
    await writeFile(config, '[req]\ndistinguished_name=dn\n[dn]\n')
    const request = ['req', '-x509', '-new', '-config', config, '-key', key, '-days', '400']
    const subject = (name: string) => ['-subj', `/CN=${name.replaceAll('/', '\\/')}`]
    await run('openssl', [...request, ...subject(repo.replace('app', '*')), '-out', certificate])
    await run('openssl', [...request, ...subject('example.com/other'), '-out', wrong])
    await owner.run(`key import ${key} --no-passphrase --name mine`)
    const init = `init ${repo} --dialect notary --no-passphrase --root-key mine --root-cert`
    const refused = await owner.try(`${init} ${wrong}`)
    t.same([refused.code, codeOf(refused)], [1, 'ROOT_CERTIFICATE'], 'for another repository')
    await owner.run(`${init} ${certificate}`)
    const { digest } = await push('1.0')
    await owner.run(`sign ${repo}:1.0`)
    t.match(await user('anna').run(`lookup ${repo} 1.0`), digest.slice(7))
  })

  await t.test('a client of notary that is two roots behind', async (t) => {
    const place = await founded(t, world)
    const { repo, owner, get } = place
    const signers = async () => {
      const { signatures } = JSON.parse(await get('root.json')) as { signatures: { keyid: string }[] }
      return signatures.map(({ keyid }) => keyid)
    }
    const [first = ''] = await signers()
    await owner.run(`rotate ${repo} root --no-passphrase`)
    await owner.run(`rotate ${repo} root --no-passphrase`)
    t.notOk((await signers()).includes(first))
    await owner.run(`rotate ${repo} root --no-passphrase --legacy 3`)
    const all = await signers()
    t.same([all.includes(first), all.length], [true, 4], 'finds a signature of the key that it knows')
    t.same(targetsIn(await place.user('anna').run(`list ${repo}`)), [])
  })

  await t.test('whoever saw it before every rotation follows', async (t) => {
    const place = await founded(t, world)
    const { repo, owner, user, push, pin, tagseal } = place
    await push('1.0')
    await owner.run(`sign ${repo}:1.0`)
    const ours = tagseal('consumer')
    await ours.run(pin)
    for (const role of ['timestamp', 'snapshot', 'targets', 'root', 'targets', 'root']) {
      await t.test(role, async (t) => {
        const theirs = user(`before ${role}`.replace(' ', '-'))
        t.same(targetsIn(await theirs.run(`list ${repo}`)), ['1.0 targets'])
        await ours.run(`verify ${repo}:1.0`)
        await owner.run(`rotate ${repo} ${role} --no-passphrase`)
        t.same(targetsIn(await theirs.run(`list ${repo}`)), ['1.0 targets'])
        await ours.run(`verify ${repo}:1.0`)
      })
    }
    const first = user('before-timestamp')
    t.same(targetsIn(await first.run(`list ${repo}`)), ['1.0 targets'], 'over two rotations of root')
  })

  await t.test('roles are delegated to keys in every form', async (t) => {
    const place = await founded(t, world)
    const { repo, owner, user, push, pin, signer, folder } = place
    await Promise.all(['1.0', '2.0', 'qa-1'].map(push))
    const [releases, qa, large] = [
      await signer('releases'),
      await signer('qa', 'public key'),
      await signer('rsa', 'rsa'),
    ]
    await owner.run(`delegation add ${repo} targets/releases --key ${releases.pem} --path *`)
    await owner.run(`delegation add ${repo} targets/qa --key ${qa.pem} --key ${large.pem} --path qa- --path stage-`)
    const own = (await owner.run('key generate --no-passphrase --algorithm ecdsa-p256 --name nightly')).trim()
    const early = await owner.try(`delegation add ${repo} targets/none/below --key ${own}`)
    t.same([early.code, codeOf(early)], [2, 'UNKNOWN_ROLE'], 'a role below one that is not there')
    const odd = await owner.try(`delegation add ${repo} nightly --key ${own}`)
    t.same([odd.code, codeOf(odd)], [2, 'USAGE'], 'a name that notary would not take')

    await t.test('notary sees them as they were meant', async (t) => {
      const listing = await user('anna').run(`delegation list ${repo}`)
      t.match(listing, /targets\/releases\s+"" <all paths>/)
      t.match(listing, /targets\/qa\s+qa-\s+\w+\s+1\n\s+stage-\s+\w+\s*\n/)
    })
    await t.test('whoever holds one of those keys publishes with notary, and tagseal finds it', async (t) => {
      const signing = user('signing')
      await signing.run(`key import ${releases.key} --role user`)
      await signing.run(`key import ${qa.key} --role user`)
      const { digest } = await push('1.0')
      const hex = digest.slice('sha256:'.length)
      await signing.run(`addhash -p ${repo} 1.0 1234 --sha256 ${hex} -r targets/releases`)
      await signing.run(`addhash -p ${repo} qa-1 1234 --sha256 ${hex} -r targets/qa`)
      t.same(await seenBy(place, pin, 'eve'), {
        ours: ['1.0 targets/releases'],
        theirs: ['1.0 targets/releases', 'qa-1 targets/qa'],
      })
    })
    await t.test('with the same keys tagseal goes on', async (t) => {
      const team = place.tagseal('team')
      await team.run(pin)
      await team.run(`key import ${releases.key} --no-passphrase --name releases`)
      await team.run(`key import ${qa.key} --no-passphrase --name qa`)
      await team.run(`sign ${repo}:2.0`)
      const named = await team.try(`sign ${repo}:qa-1 --role targets/qa`)
      t.match([named.code, named.stderr], [0, /^warning: .*targets\/qa/])
      t.equal((await team.try(`sign ${repo}:2.0 --role targets/qa`)).code, 1, 'outside of its paths')
      const seen = await seenBy(place, pin, 'frank')
      t.same(seen.theirs, ['1.0 targets/releases', '2.0 targets/releases', 'qa-1 targets/qa'])
      t.same(seen.ours, ['1.0 targets/releases', '2.0 targets/releases'])
    })
    await t.test('what one cannot revoke is named', async (t) => {
      await owner.run(`sign ${repo}:1.0 --role targets`).catch(() => undefined)
      const team = place.tagseal('team')
      await owner.run(`key import ${releases.key} --no-passphrase --name releases`)
      const ran = await owner.try(`revoke ${repo}:1.0 --json`)
      t.match([ran.code, documentOf(ran)], [0, { revoked: [{ roles: ['targets/releases'], keeping: [] }] }])
      const qaOnly = await owner.try(`revoke ${repo}:qa-1`)
      t.same([qaOnly.code, codeOf(qaOnly)], [1, 'STILL_SIGNED'])
      t.match(qaOnly.stderr, 'targets/qa')
      await team.run(`revoke ${repo}:qa-1`)
      t.same((await seenBy(place, pin, 'grace')).theirs, ['2.0 targets/releases'])
    })
    await t.test('one that is removed is gone, and can come back without its tags', async (t) => {
      await owner.run(`delegation remove ${repo} targets/releases`)
      t.same((await seenBy(place, pin, 'heidi')).theirs, [])
      await owner.run(`delegation add ${repo} targets/releases --key ${releases.pem} --path *`)
      await owner.run(`sign ${repo}:1.0`)
      const { ours, theirs } = await seenBy(place, pin, 'ivan')
      t.ok(ours.includes('1.0 targets/releases') && theirs.includes('1.0 targets/releases'))
      t.ok(folder)
    })
  })

  await t.test('what notary made, tagseal goes on with, and notary again', async (t) => {
    const place = await openPlace(t, world)
    const { repo, user, push, file, get, tagseal, folder } = place
    await Promise.all(['1.0', '2.0'].map(push))
    const theirs = user('owner')
    await theirs.run(`init -p ${repo}`)
    await theirs.run(`add -p ${repo} a ${file('a', 'aaa')}`)
    const ours = tagseal('owner')
    await ours.run(`key import ${theirs.dir}/private --no-passphrase`)
    await writeFile(join(folder, 'root.json'), await get('root.json'))
    await ours.run(`trust add ${repo} --root ${join(folder, 'root.json')}`)
    const bothSee = async (...tags: string[]) => {
      const { tags: listed } = (await ours.json(`list ${repo}`)) as { tags: { tag: string }[] }
      t.same(
        listed.map(({ tag }) => tag),
        tags,
      )
      t.same(
        targetsIn(await theirs.run(`list ${repo}`)).toSorted(),
        tags.map((tag) => `${tag} targets`),
      )
    }
    await ours.run(`sign ${repo}:1.0`)
    await bothSee('1.0', 'a')
    await theirs.run(`add -p ${repo} b ${file('b', 'bbb')}`)
    await ours.run(`revoke ${repo}:a`)
    await bothSee('1.0', 'b')
    await t.test('with the snapshot key on their side and then on the server', async () => {
      await ours.run(`rotate ${repo} snapshot`)
      await bothSee('1.0', 'b')
      await theirs.run(`add -p ${repo} c ${file('c', 'ccc')}`)
      await ours.run(`sign ${repo}:2.0`)
      await bothSee('1.0', '2.0', 'b', 'c')
    })
    await t.test('with the snapshot key taken back from the server', async () => {
      await ours.run(`rotate ${repo} snapshot --key ${await keyNamed(ours, `snapshot ${repo}`)}`)
      await ours.run(`revoke ${repo}:2.0`)
      await bothSee('1.0', 'b', 'c')
      await ours.run(`rotate ${repo} snapshot`)
      await ours.run(`sign ${repo}:2.0`)
    })
    await t.test('over a rotation of root by either', async () => {
      await theirs.run(`key rotate ${repo} root`, 'yes\n')
      await ours.run(`key import ${theirs.dir}/private --no-passphrase`)
      await bothSee('1.0', '2.0', 'b', 'c')
      await ours.run(`rotate ${repo} timestamp`)
      await ours.run(`rotate ${repo} root --no-passphrase`)
      await bothSee('1.0', '2.0', 'b', 'c')
    })
  })

  await t.test('what tagseal made, notary goes on with, and tagseal again', async (t) => {
    const { repo, owner, user, push, file, folder } = await founded(t, world)
    await Promise.all(['1.0', '2.0'].map(push))
    await owner.run(`sign ${repo}:1.0`)
    const theirs = user('owner')
    await writeFile(join(folder, 'phrase'), 'targetspass123\n', { mode: 0o600 })
    await owner.run(
      `export notary-keys --key targets --out ${theirs.dir}/private/ --new-passphrase-file ${join(folder, 'phrase')}`.replace(
        '--key targets',
        `--key ${await keyNamed(owner, `targets ${repo}`)}`,
      ),
    )
    await theirs.run(`add -p ${repo} a ${file('a', 'aaa')}`)
    await owner.run(`sign ${repo}:2.0`)
    await theirs.run(`remove -p ${repo} a`)
    await theirs.run(`add -p ${repo} b ${file('b', 'bbb')}`)
    t.same(targetsIn(await theirs.run(`list ${repo}`)).toSorted(), ['1.0 targets', '2.0 targets', 'b targets'])
    t.match(await owner.json(`list ${repo}`), { tags: [{ tag: '1.0' }, { tag: '2.0' }, { tag: 'b' }] })
  })

  await t.test('four who publish at once lose nothing', async (t) => {
    const { repo, owner, push, tagseal, user, folder } = await founded(t, world)
    const rounds = [1, 2, 3, 4, 5]
    const publishers = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        await cp(owner.home, join(folder, name), { recursive: true })
        return { name, tagseal: tagseal(name, startTagseal) }
      }),
    )
    const tags = publishers.flatMap(({ name }) => rounds.map((round) => `${name}${round}`))
    await Promise.all(tags.map(push))
    await Promise.all(
      publishers.map(async ({ name, tagseal: publisher }) => {
        for (const round of rounds) await publisher.run(`sign ${repo}:${name}${round}`)
      }),
    )
    t.same(targetsIn(await user('anna').run(`list ${repo}`)).toSorted(), tags.map((tag) => `${tag} targets`).toSorted())
  })
}

async function keyNamed(owner: Tagseal, name: string): Promise<string> {
  const { keys } = (await owner.json('key list')) as { keys: { id: string; name?: string }[] }
  return keys.find((key) => key.name === name)?.id ?? ''
}

/** `notary` with that pinning and no past. */
async function pinned({ user, certificate, url, folder }: Place, name: string, pinning: object, command: string) {
  const { dir } = user(name)
  const config = join(folder, `${name}.json`)
  const server = { url, root_ca: certificate.ca }
  await writeFile(config, JSON.stringify({ trust_dir: dir, remote_server: server, trust_pinning: pinning }))
  return (await run('notary', ['-c', config, ...command.split(' ')])).stdout
}
