import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { Credential } from '../../../client/registry/credentials.ts'
import { dockerCredentials } from '../../../client/registry/docker-config.ts'

const HUB = 'https://index.docker.io/v1/'
const b64 = (text: string) => Buffer.from(text).toString('base64')
const auth = (text: string) => ({ auth: b64(text) })

type Found = { kind: 'basic'; username: string; password: string } | { kind: 'identity' | 'bearer'; token: string }
type Case = { readonly config?: unknown; readonly registry?: string; readonly finds?: Found; readonly refused?: string }

let made = 0
const ANN: Found = { kind: 'basic', username: 'ann', password: 'pw' }

const CASES: Record<string, Case> = {
  'no login where there is no file': {},
  'no login in an empty object': { config: {} },
  'a login by host': { config: { auths: { 'r.example': auth('ann:pw') } }, finds: ANN },
  'a login by host and port': {
    config: { auths: { 'r.example:5000': auth('ann:pw') } },
    registry: 'r.example:5000',
    finds: ANN,
  },
  'no login of the same host on another port': { config: { auths: { 'r.example:5000': auth('ann:pw') } } },
  'no login of a host that only starts alike': { config: { auths: { 'r.example.evil': auth('ann:pw') } } },
  'a login under an old URL': { config: { auths: { 'https://r.example/v1/': auth('ann:pw') } }, finds: ANN },
  'the exact key before the old URL': {
    config: { auths: { 'https://r.example': auth('bob:x'), 'r.example': auth('ann:pw') } },
    finds: ANN,
  },
  'Docker Hub’s login under its oldest address': {
    config: { auths: { [HUB]: auth('ann:pw') } },
    registry: 'docker.io',
    finds: ANN,
  },
  'Docker Hub’s login under its name': {
    config: { auths: { 'docker.io': auth('ann:pw') } },
    registry: 'docker.io',
    finds: ANN,
  },
  'a password with colons': {
    config: { auths: { 'r.example': auth('ann:p:w:') } },
    finds: { kind: 'basic', username: 'ann', password: 'p:w:' },
  },
  'a password that docker padded with NULs': { config: { auths: { 'r.example': auth('ann:pw\0\0') } }, finds: ANN },
  'a username and password in the clear': {
    config: { auths: { 'r.example': { username: 'ann', password: 'pw' } } },
    finds: ANN,
  },
  'an identity token, before the user that stands beside it': {
    config: { auths: { 'r.example': { ...auth('ann:'), identitytoken: 'refresh' } } },
    finds: { kind: 'identity', token: 'refresh' },
  },
  'a registry token': {
    config: { auths: { 'r.example': { registrytoken: 'raw' } } },
    finds: { kind: 'bearer', token: 'raw' },
  },
  'no login in an entry that docker left empty for its store': { config: { auths: { 'r.example': {} } } },
  'names that every object has': { config: { auths: { 'r.example': {} } }, registry: 'constructor' },
  'a file that is no JSON': { config: '{"auths": ann:pw', refused: 'CREDENTIALS_MALFORMED' },
  'a file that names a registry twice': {
    config: '{"auths":{"r.example":{},"r.example":{}}}',
    refused: 'CREDENTIALS_MALFORMED',
  },
  'a file that is a list': { config: [], refused: 'CREDENTIALS_MALFORMED' },
  'auths that are a list': { config: { auths: [] }, refused: 'CREDENTIALS_MALFORMED' },
  'an auth without a colon': { config: { auths: { 'r.example': auth('annpw') } }, refused: 'CREDENTIALS_MALFORMED' },
  'an auth without a user': { config: { auths: { 'r.example': auth(':pw') } }, refused: 'CREDENTIALS_MALFORMED' },
  'an auth that is no base64': {
    config: { auths: { 'r.example': { auth: 'ann:pw' } } },
    refused: 'CREDENTIALS_MALFORMED',
  },
  'an auth that is a number': { config: { auths: { 'r.example': { auth: 1 } } }, refused: 'CREDENTIALS_MALFORMED' },
  'a helper whose name leads elsewhere': { config: { credsStore: '../../tmp/evil' }, refused: 'CREDENTIALS_MALFORMED' },
  'a helper whose name is no text': { config: { credsStore: 1 }, refused: 'CREDENTIALS_MALFORMED' },
  'a helper that is not installed': { config: { credsStore: 'nowhere' }, refused: 'CREDENTIAL_HELPER_MISSING' },
}

await t.test('the file', async (t) => {
  for (const [name, { config, registry = 'r.example', finds, refused }] of Object.entries(CASES)) {
    await t.test(`${refused ? 'refuses' : 'finds'} ${name}`, async (t) => {
      const text = typeof config === 'string' ? config : JSON.stringify(config)
      const dir = t.testdir(text === undefined ? {} : { 'config.json': text })
      const found = dockerCredentials({
        environment: { DOCKER_CONFIG: dir, PATH: dir },
        homeDirectory: '/nowhere',
      }).find(registry)
      if (refused) {
        const error = await t.rejects(found, { name: 'RegistryError', code: refused, hint: String })
        t.notMatch(inspect(error, { depth: 9 }), /ann|pw/, 'and shows nothing of what stands in it')
      } else t.same(revealed(await found), finds)
    })
  }
})

await t.test('a login shows its secret to nobody by accident', async (t) => {
  const dir = t.testdir({ 'config.json': JSON.stringify({ auths: { 'r.example': auth('ann:hunter2') } }) })
  const login = await dockerCredentials({ environment: { DOCKER_CONFIG: dir }, homeDirectory: '/' }).find('r.example')
  t.equal(login?.kind === 'basic' && String(login.password), '[secret]')
  t.notMatch(`${JSON.stringify(login)} ${inspect(login, { depth: 9, showHidden: true })}`, /hunter2/)
})

await t.test('without DOCKER_CONFIG the file lies in the home directory', async (t) => {
  const home = t.testdir({ '.docker': { 'config.json': JSON.stringify({ auths: { 'r.example': auth('ann:pw') } }) } })
  t.same(revealed(await dockerCredentials({ environment: {}, homeDirectory: home }).find('r.example')), ANN)
})

await t.test('DOCKER_AUTH_CONFIG comes before the file, and only for what it has', async (t) => {
  const dir = t.testdir({
    'config.json': JSON.stringify({ auths: { 'r.example': auth('bob:x'), 'q.example': auth('ann:pw') } }),
  })
  const inline = JSON.stringify({ auths: { 'r.example': auth('ann:pw') } })
  const credentials = dockerCredentials({
    environment: { DOCKER_CONFIG: dir, DOCKER_AUTH_CONFIG: inline },
    homeDirectory: '/',
  })
  t.same(revealed(await credentials.find('r.example')), ANN)
  t.same(revealed(await credentials.find('q.example')), ANN)
})

type HelperCase = { readonly script: string; readonly finds?: Found; readonly refused?: string; readonly why?: RegExp }

const HELPERS: Record<string, HelperCase> = {
  'a login': { script: `echo '{"ServerURL":"r.example","Username":"ann","Secret":"pw"}'`, finds: ANN },
  'an identity token': {
    script: `echo '{"Username":"<token>","Secret":"refresh"}'`,
    finds: { kind: 'identity', token: 'refresh' },
  },
  'a login from a helper that does not read its input': {
    script: `exec <&-; echo '{"Username":"ann","Secret":"pw"}'`,
    finds: ANN,
  },
  'no login where the store has none': { script: `echo 'credentials not found in native keychain'; exit 1` },
  'a store that fails': { script: 'echo pw >&2; exit 3', refused: 'CREDENTIAL_HELPER_FAILED', why: /code 3/ },
  'an answer that is no JSON': { script: 'echo pw', refused: 'CREDENTIAL_HELPER_FAILED', why: /JSON/ },
  'an answer without a secret': {
    script: `echo '{"Username":"ann"}'`,
    refused: 'CREDENTIAL_HELPER_FAILED',
    why: /Secret/,
  },
  'an endless answer': { script: 'yes pw', refused: 'CREDENTIAL_HELPER_FAILED', why: /too much/ },
  'a store that never answers': { script: 'exec sleep 60', refused: 'CREDENTIAL_HELPER_FAILED', why: /too long/ },
}

await t.test('a credential helper', async (t) => {
  for (const [name, { script, finds, refused, why }] of Object.entries(HELPERS)) {
    await t.test(`${refused ? 'is refused for' : 'gives'} ${name}`, async (t) => {
      const found = (await withHelper(t, script, 400)).find('r.example')
      if (refused) {
        const error = await t.rejects(found, { name: 'RegistryError', code: refused, detail: { why } })
        t.notMatch(inspect(error, { depth: 9 }), /pw/, 'and shows nothing of what it printed')
      } else t.same(revealed(await found), finds)
    })
  }
})

await t.test('a helper is asked `get` with the server’s name on stdin, nothing of which is an argument', async (t) => {
  const dir = t.testdir({})
  const script = `{ printf '%s|' "$@"; cat; } > "${dir}/asked"; echo '{"Username":"ann","Secret":"pw"}'`
  await (await withHelper(t, script)).find('r.example:5000')
  t.equal(await readFile(join(dir, 'asked'), 'utf8'), 'get|r.example:5000\n')
  await (await withHelper(t, script)).find('docker.io')
  t.equal(await readFile(join(dir, 'asked'), 'utf8'), `get|${HUB}\n`)
})

await t.test('a helper of its own goes before the store, and the file is left for what the store lacks', async (t) => {
  const config = {
    credsStore: 'none',
    credHelpers: { 'own.example': 'own' },
    auths: { 'file.example': auth('ann:pw'), 'own.example': auth('bob:x') },
  }
  const dir = await helperDir(
    t,
    { none: 'echo "credentials not found in native keychain"; exit 1', own: `echo '{"Username":"ann","Secret":"pw"}'` },
    config,
  )
  const credentials = dockerCredentials({
    environment: { DOCKER_CONFIG: dir, PATH: `${dir}:/usr/bin:/bin` },
    homeDirectory: '/',
  })
  t.same(revealed(await credentials.find('own.example')), ANN)
  t.same(revealed(await credentials.find('file.example')), ANN)
  t.same(await credentials.find('other.example'), undefined)
})

await t.test('a helper is shown nothing that is ours', async (t) => {
  const dir = await helperDir(
    t,
    { test: `echo '{"Username":"'"$SEEN"'","Secret":"'"x$TAGSEAL_TOKEN"'"}'` },
    { credsStore: 'test' },
  )
  const environment = { DOCKER_CONFIG: dir, PATH: `${dir}:/usr/bin:/bin`, TAGSEAL_TOKEN: 'secret', SEEN: 'theirs' }
  const login = await dockerCredentials({ environment, homeDirectory: '/' }).find('r.example')
  t.same(revealed(login), { kind: 'basic', username: 'theirs', password: 'x' })
})

await t.test('waiting for a helper ends when the caller stops', async (t) => {
  const stop = new AbortController()
  const dir = t.testdir({})
  const credentials = await withHelper(t, `echo $$ > "${dir}/pid"; exec sleep 60`)
  const found = credentials.find('r.example', stop.signal)
  const ended = t.rejects(found, { message: 'enough' })
  while (!(await exists(join(dir, 'pid')))) await new Promise(setImmediate)
  stop.abort(new Error('enough'))
  await ended
})

await t.test('a file that cannot be read is no empty file', async (t) => {
  const dir = t.testdir({ 'config.json': {} })
  const found = dockerCredentials({ environment: { DOCKER_CONFIG: dir }, homeDirectory: '/' }).find('r.example')
  await t.rejects(found, { code: 'CREDENTIALS_MALFORMED', detail: { file: join(dir, 'config.json') } })
})

async function withHelper(t: Test, script: string, helperMilliseconds = 20_000) {
  const dir = await helperDir(t, { test: script }, { credsStore: 'test' })
  const environment = { DOCKER_CONFIG: dir, PATH: `${dir}:/usr/bin:/bin` }
  return dockerCredentials({ environment, homeDirectory: '/', helperMilliseconds })
}

async function helperDir(t: Test, scripts: Record<string, string>, config: unknown): Promise<string> {
  const dir = join(t.testdir({}), `helpers-${made++}`)
  await mkdir(dir)
  await writeFile(join(dir, 'config.json'), JSON.stringify(config))
  for (const [name, script] of Object.entries(scripts)) {
    const file = join(dir, `docker-credential-${name}`)
    await writeFile(file, `#!/bin/sh\n${script}\n`)
    await chmod(file, 0o755)
  }
  return dir
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    ({ size }) => size > 0,
    () => false,
  )
}

function revealed(credential: Credential | undefined): Found | undefined {
  if (credential?.kind === 'basic') return { ...credential, password: credential.password.reveal() }
  return credential && { kind: credential.kind, token: credential.token.reveal() }
}
