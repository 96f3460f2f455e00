/** A trust server behind an authority of its own, which is named once: where its address is. */
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import t from 'tap'
import { monotonicNow } from '../../client/monotonic.ts'
import { run } from '../../client/run.ts'
import { hash } from '../../keys/digest.ts'
import { madeAuthority } from '../support/authority.ts'
import { certify } from '../support/chain.ts'
import { codeOf, documentOf } from '../support/cli.ts'
import { buildImage } from '../support/images.ts'
import { serverHere, tagsealHere } from '../support/in-process.ts'
import { whyNoRegistry, whyNoSkopeo } from '../support/registry.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? (await whyNoOpenssl()) ?? false
const noSkopeo = (await whyNoSkopeo()) ?? false

await t.test('an authority that is named once', { skip }, async (t) => {
  const folder = t.testdir()
  const { cert, key, caText } = await makeCertificate(join(folder, "the server's"))
  const other = await makeCertificate(join(folder, 'other'))
  const town = await openTown({}, tagsealHere, async () => await serverHere({ tlsCert: cert, tlsKey: key }))
  t.teardown(town.close)
  const { repository } = town
  const { url } = town.server
  const person = async () => {
    const { home, run } = await town.person()
    const alone = { TAGSEAL_SERVER: '', PATH: process.env['PATH'] ?? '' }
    return { home, run: async (...args: readonly string[]) => await run(args, { env: alone }), runWith: run }
  }
  const [owner, consumer] = [await person(), await person()]
  const { digest } = await town.push('1.0', buildImage())

  const made = await owner.run('init', repository, '--server', url, '--ca', cert, '--no-passphrase')
  t.equal(made.code, 0, made.stderr)
  const [pin, typed] = made.stdout.trimEnd().split(' --ca ')
  t.equal(typed, basename(cert), 'whoever pins it is told of it, by its name alone: it lies beside the command there')
  t.match(made.stderr, `${basename(cert)} has to travel with the line below`)
  const again = await owner.run('init', repository, '--no-passphrase')
  t.same([again.code, codeOf(again)], [1, 'REPOSITORY_EXISTS'])
  t.match(again.stderr, /hint: this machine pins it already: tagseal status \S+ .*, tagseal sign/)
  const elsewhere = await (await person()).run('init', repository, '--server', url, '--ca', cert, '--no-passphrase')
  t.match(elsewhere.stderr, `trust add ${repository} --key ID --server ${url}`)
  t.match(elsewhere.stderr, / --ca server\.crt, with the root key id its owner printed/)
  const trusting = [...(pin ?? '').split(' ').slice(1), '--ca', cert]

  await t.test('serves the owner in every command', async (t) => {
    const WORK: readonly (readonly string[])[] = [
      ['sign', `${repository}:1.0`],
      ['list', repository],
      ['history', `${repository}:1.0`],
      ['status', repository],
      ['rotate', repository, 'timestamp'],
      ['rotate', repository, 'targets', '--no-passphrase'],
      ['rotate', repository, 'root', '--no-passphrase'],
      ['delegation', 'list', repository],
      ['root', 'propose', repository, '--renew', '--out', join(folder, 'next.json')],
      ['root', 'review', join(folder, 'next.json')],
    ]
    for (const args of WORK) {
      const ran = await owner.run(...args)
      t.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
    }
  })
  await t.test('serves what asks the server for all of its repositories', async (t) => {
    const listed = JSON.stringify(documentOf(await owner.run('status', repository, '--json')))
    type Held = { readonly keys: readonly { readonly id: string; readonly name?: string }[] }
    const { keys: held } = documentOf(await owner.run('key', 'list', '--json')) as Held
    const keyid = held.find(({ id, name }) => name?.startsWith('targets') === true && listed.includes(id))?.id ?? ''
    const every = `${town.registry.host}/**`
    const ran = await owner.run('rotate', every, '--all-with-key', keyid, '--no-passphrase')
    t.match(ran, { code: 0, stdout: /is listed in none of 1 repositories: 1 rotated now/ }, ran.stderr)
  })
  await t.test('serves a repository that is made below the pattern of a pin', async (t) => {
    const below = await person()
    const keyid = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
    const pattern = `${town.registry.host}/**`
    const added = await below.run('trust', 'add', pattern, '--key', keyid, '--server', url, '--ca', cert)
    t.equal(added.code, 0, added.stderr)
    const next = `${town.registry.host}/team/next`
    const ran = await below.run('init', next, '--no-passphrase')
    t.match(
      ran,
      { code: 0, stdout: / --ca FILE\n$/, stderr: /has to travel with the line below, in a file/ },
      ran.stderr,
    )
    t.equal((await below.run('list', next)).code, 0, 'whose own pin keeps it as well')
  })

  const rotated = await owner.run('trust', 'list', '--json')
  const keys = JSON.stringify(documentOf(rotated)).match(/(?<="keys":\[")[0-9a-f]{64}/)?.[0] ?? ''
  const words = trusting.map((word, i) => (trusting[i - 1] === '--key' ? keys : word))
  t.equal((await consumer.run(...words)).code, 0)
  await t.test('is shown with its pin', async (t) => {
    const sha256 = hash('sha256', Buffer.from(caText.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'))
    const until = new Date(new X509Certificate(caText).validTo).toISOString()
    const { stdout } = await consumer.run('trust', 'list')
    t.match(stdout, `${url}/, by CN=tagseal test sha256:${sha256} until ${until.slice(0, 10)}\n`)
    t.match(documentOf(await consumer.run('trust', 'list', '--json')), {
      pins: [{ server: `${url}/`, serverCa: [{ subject: 'CN=tagseal test', sha256, notAfter: until }] }],
    })
    t.match(documentOf(await consumer.run(...words, '--json')), { replaced: false })
    t.match(documentOf(await consumer.run(...words.slice(0, -1), other.cert, '--json')), { replaced: true })
    t.equal((await consumer.run(...words)).code, 0)
  })
  await t.test('is renewed by itself: whom the pin trusts stays', async (t) => {
    const both = join(folder, 'both.pem')
    await writeFile(both, certify(folder).pem + caText)
    const { stdout } = await consumer.run('trust', 'list')
    const moved = await consumer.run('trust', 'add', repository, '--ca', both)
    t.match(moved, { code: 0, stderr: /replaced the pin/ })
    t.equal((await consumer.run('verify', `${repository}:1.0`)).code, 0, 'while a change of it lasts, either will do')
    t.equal((await consumer.run('trust', 'add', repository, '--server', url, '--ca', cert)).code, 0)
    t.equal((await consumer.run('trust', 'list')).stdout, stdout)
    t.equal((await consumer.run('trust', 'add', repository, '--server', 'https://trust.example.com')).code, 0)
    t.match((await consumer.run('trust', 'list')).stdout, / {2}https:\/\/trust\.example\.com\/\n$/, 'without it')
    t.equal((await consumer.run('trust', 'add', repository, '--server', url, '--ca', cert)).code, 0)
    const REFUSED: Record<string, readonly string[]> = {
      'a pin that is not there': ['trust', 'add', 'a.io/b', '--server', url, '--ca', cert],
      'nothing that changes': ['trust', 'add', repository],
      'a threshold without keys': ['trust', 'add', repository, '--threshold', '2', '--ca', cert],
    }
    for (const [name, args] of Object.entries(REFUSED)) {
      const ran = await consumer.run(...args)
      t.same([ran.code, codeOf(ran)], [2, 'USAGE'], name)
    }
    t.equal((await consumer.run('trust', 'list')).stdout, stdout)
  })
  await t.test('serves the consumer', async (t) => {
    const ran = await consumer.run('verify', `${repository}:1.0`)
    t.same([ran.code, ran.stdout], [0, `${repository}@${digest}\n`], ran.stderr)
    const again = await consumer.run('verify', `${repository}:1.0`, '--server', url)
    t.equal(again.code, 0, 'also where its server is named again')
  })
  await t.test('serves a pull', { skip: noSkopeo }, async (t) => {
    const pulled = await consumer.run(
      'pull',
      `${repository}:1.0`,
      '--engine',
      'skopeo',
      '--output',
      join(folder, 'app'),
    )
    t.equal(pulled.code, 0, pulled.stderr)
  })
  await t.test('serves a gateway that goes by the pins of its machine', async (t) => {
    const policy = join(folder, 'policy.yaml')
    await writeFile(policy, `version: 1\nrules: [{ pattern: "${town.registry.host}/**" }]\n`)
    const end = new AbortController()
    const address = Promise.withResolvers<string>()
    const running = run(['gateway', '--policy', policy, '--listen', '127.0.0.1:0', '--cache', join(folder, 'cache')], {
      env: { TAGSEAL_HOME: consumer.home, HOME: folder },
      homeDirectory: folder,
      stdout: { write: (text) => address.resolve(/http:\S+/.exec(text)?.[0] ?? '') },
      stderr: { write: () => undefined },
      clock: Date.now,
      monotonic: monotonicNow,
      signal: end.signal,
      version: '0',
    })
    const asked = `${await address.promise}/v2/team/app/manifests/1.0?ns=${town.registry.host}`
    t.equal((await fetch(asked)).headers.get('docker-content-digest'), digest)
    end.abort()
    await running
  })

  await t.test('gives way to what a run names itself, and goes with no other address', async (t) => {
    const RUNS: Record<string, { args?: readonly string[]; env?: Record<string, string>; says: RegExp }> = {
      'another authority, by an option': {
        args: ['--ca', other.cert],
        says: /the authority in \S.* does not vouch for[^]*hint: \S.* was given, and holds no authority of that server.*--ca FILE/,
      },
      'another authority, by a variable': {
        env: { TAGSEAL_CA: other.cert },
        says: /hint: .*other.server\.crt was given/,
      },
      'another name of its machine': {
        args: ['--server', url.replace('127.0.0.1', 'localhost')],
        says: /hint: give the certificate/,
      },
    }
    for (const [name, { args = [], env = {}, says }] of Object.entries(RUNS)) {
      const ran = await consumer.runWith(['verify', `${repository}:1.0`, ...args], {
        env: { TAGSEAL_SERVER: '', ...env },
      })
      t.same([ran.code, codeOf(ran), ran.stdout], [3, 'NETWORK', ''], name)
      t.match(ran.stderr, says)
    }
  })

  await t.test('is never passed over where something became of it', async (t) => {
    const path = join(consumer.home, 'trust.json')
    const good = await readFile(path, 'utf8')
    type Pins = { readonly pins: readonly Record<string, unknown>[] }
    const written = (serverCa: string | undefined) => {
      const { pins } = JSON.parse(good) as Pins
      return JSON.stringify({ version: 1, pins: pins.map((pin) => ({ ...pin, serverCa })) })
    }
    const BECAME: Record<string, { text: string; code: string; exit: number; says: RegExp }> = {
      'a letter was changed': {
        text: written(caText.replace('MII', 'MIJ')),
        code: 'CONFIG_MALFORMED',
        exit: 2,
        says: /trust\.json: serverCa in the pin of \S+: certificate 1 in it cannot be read.*\n.*hint: mend it, or move it away/,
      },
      'another one was put behind it, cut off': {
        text: written(caText + other.caText.slice(0, 300)),
        code: 'CONFIG_MALFORMED',
        exit: 2,
        says: /hint: /,
      },
      'it was emptied': { text: written(''), code: 'CONFIG_MALFORMED', exit: 2, says: /no certificate in it/ },
      'it was exchanged': {
        text: written(other.caText),
        code: 'NETWORK',
        exit: 3,
        says: /that the authority in the pin of \S+ does not vouch for .*\n.*hint: ask whoever runs that server whether it has another authority now/,
      },
      'it was taken out': { text: written(undefined), code: 'NETWORK', exit: 3, says: /hint: give the certificate/ },
    }
    for (const [name, { text, code, exit, says }] of Object.entries(BECAME)) {
      await writeFile(path, text)
      for (const command of ['verify', 'sign']) {
        const ran = await consumer.run(command, `${repository}:1.0`)
        t.same([ran.code, codeOf(ran), ran.stdout], [exit, code, ''], `${command}: ${name}`)
        t.match(ran.stderr, says)
      }
    }
    await writeFile(path, good)
    t.equal((await consumer.run('verify', `${repository}:1.0`)).code, 0)
  })

  await t.test('is kept whole or not at all', async (t) => {
    const privateKey = await readFile(key, 'utf8')
    await writeFile(join(folder, 'with-key.pem'), caText + privateKey)
    await writeFile(join(folder, 'words'), 'ask the operator\n')
    await writeFile(join(folder, 'large'), caText.repeat(200))
    const REFUSED: Record<string, readonly [string, RegExp]> = {
      'with-key.pem': ['FILE_MALFORMED', /certificates and nothing else, not a PRIVATE KEY/],
      words: ['FILE_MALFORMED', /no certificate in it/],
      large: ['FILE_MALFORMED', /larger than 65536 bytes, and a pin keeps the authority of one server/],
      none: ['FILE_UNREADABLE', /no such file/],
    }
    const before = await readFile(join(consumer.home, 'trust.json'), 'utf8')
    for (const [file, [code, says]] of Object.entries(REFUSED)) {
      const ran = await consumer.run(...words.slice(0, -1), join(folder, file))
      t.same([ran.code, codeOf(ran)], [2, code], file)
      t.match(ran.stderr, says)
      const founding = ['init', `${town.registry.host}/team/${file}`, '--server', url, '--no-passphrase']
      t.same(codeOf(await owner.run(...founding, '--ca', join(folder, file))), code, 'before anything is made')
    }
    t.equal(await readFile(join(consumer.home, 'trust.json'), 'utf8'), before)
    t.notMatch((await owner.run('key', 'list')).stdout, 'with-key')
  })

  await t.test('may come through a pipe', async (t) => {
    const pipe = join(folder, 'pipe')
    execFileSync('sh', ['-c', 'mkfifo "$0"', pipe])
    const writing = writeFile(pipe, caText)
    const founding = ['init', `${town.registry.host}/team/piped`, '--server', url, '--ca', pipe, '--no-passphrase']
    const ran = await owner.run(...founding)
    t.equal(ran.code, 0, ran.stderr)
    await writing
  })

  await t.test('is warned of where it will not do', async (t) => {
    const authority = certify(folder, { constraints: 'CA:TRUE' })
    const leaf = certify(folder, { issuer: authority })
    const over = join(folder, 'over.pem')
    await writeFile(over, await madeAuthority(Date.now() - 1000))
    const CASES: Record<string, readonly [file: string, says: RegExp | undefined]> = {
      'it expired': [over, /warning: CN=trust in \S+over\.pem expired at 20\d\d-\S+Z\n/],
      'it is the certificate of a server': [leaf.files.cert, /CN=c\d+ in \S+ is no authority's: only the certificate/],
      'it is an authority': [authority.files.cert, undefined],
      'it is a server that vouches for itself': [certify(folder).files.cert, undefined],
    }
    for (const [name, [file, says]] of Object.entries(CASES)) {
      const nobody = await person()
      const ran = await nobody.run('trust', 'add', 'a.io/**', '--tofu', '--server', url, '--ca', file)
      t.equal(ran.code, 0, ran.stderr)
      if (says === undefined) t.notMatch(ran.stderr, /expired|no authority/, name)
      else t.match(ran.stderr, says, name)
    }
  })

  await t.test('goes with a pin that is there, by its name', async (t) => {
    const ran = await consumer.run('trust', 'add', `${repository}x`, '--ca', cert)
    t.same([ran.code, codeOf(ran)], [2, 'USAGE'])
    t.match(ran.stderr, `there is no pin for ${repository}x`)
    t.match(ran.stderr, `hint: was ${repository} meant?`)
  })

  await t.test('goes with a server, and one that shows a certificate', async (t) => {
    const nobody = await person()
    const tofu = ['trust', 'add', 'a.io/**', '--tofu', '--ca', cert]
    t.match((await nobody.run(...tofu)).stderr, /is not kept: it goes with the server that --server names/)
    const plain = await nobody.run(...tofu, '--server', 'http://127.0.0.1:4480')
    t.match(plain.stderr, /is not kept: \S+ shows no certificate/)
    t.notMatch(await readFile(join(nobody.home, 'trust.json'), 'utf8'), 'serverCa')
  })
})
