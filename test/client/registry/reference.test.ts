import * as fc from 'fast-check'
import t from 'tap'
import { apiHost, parseImage, parseRepo, pinned, printImage } from '../../../client/registry/reference.ts'

const SHA256 = `sha256:${'a1'.repeat(32)}`
const SHA512 = `sha512:${'b2'.repeat(64)}`

/** The left side is what docker's `reference.ParseNormalizedNamed` and `TagNameOnly` make of it. */
const NORMAL: Record<string, readonly [text: string, full: string]> = {
  'an official image': ['alpine', 'docker.io/library/alpine:latest'],
  'an official image with a tag': ['alpine:3.20', 'docker.io/library/alpine:3.20'],
  'an official image with its host': ['docker.io/alpine', 'docker.io/library/alpine:latest'],
  'an official image with its path': ['library/alpine', 'docker.io/library/alpine:latest'],
  'a user’s image': ['user/app', 'docker.io/user/app:latest'],
  'the oldest name of Docker Hub': ['index.docker.io/user/app', 'docker.io/user/app:latest'],
  'the oldest name of Docker Hub and an official image': ['index.docker.io/alpine', 'docker.io/library/alpine:latest'],
  'a host with a dot': ['registry.example.com/app', 'registry.example.com/app:latest'],
  'a host with a port': ['registry:5000/team/app:1', 'registry:5000/team/app:1'],
  'localhost without a port': ['localhost/app', 'localhost/app:latest'],
  'localhost with a port': ['localhost:5000/app', 'localhost:5000/app:latest'],
  'an address': ['127.0.0.1:5000/app', '127.0.0.1:5000/app:latest'],
  'an IPv6 address': ['[::1]:5000/app:1', '[::1]:5000/app:1'],
  'a name with a dot but no slash, which is no host': ['foo.bar', 'docker.io/library/foo.bar:latest'],
  'localhost without a slash, which is no host': ['localhost:5000', 'docker.io/library/localhost:5000'],
  'all separators of names': ['a.b/c_d/e__f/g-h/i---j', 'a.b/c_d/e__f/g-h/i---j:latest'],
  'a digest, which needs no tag': [`alpine@${SHA256}`, `docker.io/library/alpine@${SHA256}`],
  'a tag and a digest': [`alpine:3@${SHA256}`, `docker.io/library/alpine:3@${SHA256}`],
  'a sha512 digest': [`alpine@${SHA512}`, `docker.io/library/alpine@${SHA512}`],
  'a tag of 128 characters': [`a:${'t'.repeat(128)}`, `docker.io/library/a:${'t'.repeat(128)}`],
  'a tag with upper case letters': ['a:V1.0-RC_1', 'docker.io/library/a:V1.0-RC_1'],
  'a punycode host': ['xn--bcher-kva.example/app', 'xn--bcher-kva.example/app:latest'],
}

const REFUSED: Record<string, string> = {
  nothing: '',
  'blanks around a name': ' alpine',
  'a name with a blank': 'al pine',
  'a line break at the end': 'alpine\n',
  'an upper case name': 'Alpine',
  'an upper case path': 'docker.io/User/app',
  'an upper case host, which docker would keep as another spelling': 'Registry.example.com/app',
  'an image id': 'a'.repeat(64),
  'an empty tag': 'alpine:',
  'a tag of 129 characters': `a:${'t'.repeat(129)}`,
  'a tag that starts with a dot': 'a:.1',
  'a tag with a slash after it': 'a:1/b:2:3',
  'an empty digest': 'alpine@',
  'two digests': `alpine@${SHA256}@${SHA256}`,
  'a digest in upper case': `alpine@${SHA256.toUpperCase()}`,
  'upper case hexadecimal in a digest': `alpine@sha256:${'A1'.repeat(32)}`,
  'a digest that is too short': `alpine@${SHA256.slice(0, -1)}`,
  'a digest that is too long': `alpine@${SHA256}0`,
  'sha512 with the length of sha256': `alpine@sha512:${'a1'.repeat(32)}`,
  'a digest algorithm that nobody can compute here': `alpine@blake3:${'a1'.repeat(32)}`,
  'a compound digest algorithm': `alpine@sha256+b64u:${'a1'.repeat(32)}`,
  'a tag after the digest': `alpine@${SHA256}:3`,
  'an empty part': 'a.b//c',
  'a slash at the start': '/alpine',
  'a slash at the end': 'a.b/c/',
  'a path that climbs': 'a.b/../c',
  'a path that climbs, encoded': 'a.b/%2e%2e/c',
  'three underscores': 'a___b',
  'two dots': 'a.b/c..d',
  'a separator at the end': 'a.b/c-',
  'a host that starts with a hyphen': '-a.b/c',
  'a host with an underscore': 'a_b.c:80/d',
  'a port of 0': 'a.b:0/c',
  'a port with a zero before it': 'a.b:080/c',
  'a port that is too large': 'a.b:65536/c',
  'a port that is no number': 'a.b:x/c',
  'a shortened address, which connects to 127.0.0.1': '127.1:5000/a',
  'a hexadecimal address': '0x7f.0.0.1/a',
  'an address with octal parts': '0177.0.0.1/a',
  'an IPv6 address in a second spelling': '[0:0:0:0:0:0:0:1]/a',
  'an IPv6 address in upper case': '[FE80::1]/a',
  'no IPv6 address': '[::g]/a',
  'an open bracket': '[::1/a',
  'a URL': 'https://registry.example.com/app:1',
  'a login': 'user:pass@registry.example.com/app',
  'a query': 'a.b/c?d',
  'a backslash': 'a.b\\c/d',
  'a letter that only looks like one': 'аlpine',
  'a NUL': 'alpine\0',
  'a name longer than 255 characters': `a.b/${'c'.repeat(252)}`,
}

await t.test('reads docker’s normal form of', async (t) => {
  for (const [name, [text, full]] of Object.entries(NORMAL)) {
    await t.test(name, async (t) => {
      const reference = parseImage(text)
      t.equal(printImage(reference), full)
      t.same(parseImage(full), reference, 'what was printed reads back the same')
      t.equal(reference.name, `${reference.registry}/${reference.repository}`)
    })
  }
})

await t.test('refuses', async (t) => {
  for (const [name, text] of Object.entries(REFUSED)) {
    await t.test(name, async (t) => {
      t.throws(() => parseImage(text), { name: 'RegistryError', code: 'REFERENCE_INVALID' })
      t.throws(() => parseRepo(text), { name: 'RegistryError', code: 'REFERENCE_INVALID' })
    })
  }
})

await t.test('says what is wrong with upper case letters, and how it is written', async (t) => {
  const expected = { name: 'RegistryError', detail: { why: /upper case.*lower case/ }, hint: /registry\.example/ }
  t.throws(() => parseImage('Example.com/App'), expected)
})

await t.test('a name of 255 characters is the longest', async (t) => {
  t.equal(parseRepo(`a.b/${'c'.repeat(251)}`).name.length, 255)
})

await t.test('REPO is a name without tag and digest', async (t) => {
  t.same(parseRepo('alpine'), { registry: 'docker.io', repository: 'library/alpine', name: 'docker.io/library/alpine' })
  t.throws(() => parseRepo('alpine:3'), { code: 'REFERENCE_INVALID', detail: { why: /without a tag/ } })
  t.throws(() => parseRepo(`alpine@${SHA256}`), { code: 'REFERENCE_INVALID', detail: { why: /without a digest/ } })
})

await t.test('Docker Hub answers under another name than it has', async (t) => {
  t.equal(apiHost('docker.io'), 'registry-1.docker.io')
  t.equal(apiHost('localhost:5000'), 'localhost:5000')
})

await t.test('the form for an engine has the digest and no tag', async (t) => {
  t.equal(pinned(parseImage('alpine:3'), SHA256), `docker.io/library/alpine@${SHA256}`)
})

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,8}$/)
const component = fc
  .tuple(alphanumeric, fc.array(fc.tuple(fc.constantFrom('.', '_', '__', '-', '---'), alphanumeric), { maxLength: 2 }))
  .map(([first, rest]) => first + rest.map(([separator, part]) => separator + part).join(''))
const host = fc.constantFrom(
  'docker.io',
  'localhost',
  'localhost:5000',
  'a.example',
  'a.example:443',
  '[::1]:5000',
  '10.0.0.1',
)
const tag = fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/), { nil: undefined })
const digest = fc.option(fc.constantFrom(SHA256, SHA512), { nil: undefined })

await t.test('what is printed is read back the same, for any reference', async (t) => {
  const anything = fc.tuple(
    fc.option(host, { nil: undefined }),
    fc.array(component, { minLength: 1, maxLength: 4 }),
    tag,
    digest,
  )
  fc.assert(
    fc.property(anything, ([host, path, tag, digest]) => {
      const name = [host ?? 'team', ...path].join('/') // a dot in the first part would make it a host
      const read = parseImage(name + (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`))
      const again = parseImage(printImage(read))
      return JSON.stringify(again) === JSON.stringify(read) && read.tag === (tag ?? (digest ? undefined : 'latest'))
    }),
  )
  t.pass()
})

await t.test('any text is either read or refused by its code, and what is read prints to itself', async (t) => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-zA-Z0-9.:@/[\]_%-]{0,40}$/))
  fc.assert(
    fc.property(text, (text) => {
      try {
        const full = printImage(parseImage(text))
        return printImage(parseImage(full)) === full
      } catch (error) {
        return error instanceof Error && 'code' in error && error.code === 'REFERENCE_INVALID'
      }
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

await t.test('white space is called that, and no letter', (t) => {
  t.throws(() => parseImage('registry.example.com /App:1'), { code: 'REFERENCE_INVALID', message: /white space/ })
  t.end()
})
