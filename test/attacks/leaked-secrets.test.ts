/** Secrets where somebody could read them: at rest without their key, in logs, errors, arguments, and other programs. */
import { chmod, cp, mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, tagseal } from '../support/cli.ts'
import { openLab, REPOSITORY } from '../support/attack-lab.ts'
import { startServer } from '../support/server.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import { run } from '../server/support/process.ts'

const TOKEN = `tst_${'S3cret-token_'.repeat(4).slice(0, 43)}`
const PASSPHRASE = 'Korrekt Pferd Batterie'

async function folder(t: Test): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'tagseal-secrets-'))
  t.teardown(() => rm(made, { recursive: true, force: true }))
  return made
}

await t.test('the data of a server without its key-encryption key, or with another, signs nothing', async (t) => {
  const dir = await folder(t)
  const server = await openTestServer({ teardown: () => undefined }, { data: dir })
  await server.create()
  await server.services.close()
  const CASES: Record<string, (data: string) => Promise<unknown>> = {
    KEK_NEEDED: async (data) => await rm(join(data, 'kek'), { force: true }),
    SEALED_OTHER_KEK: async (data) => {
      const other = await folder(t)
      await (await openTestServer({ teardown: () => undefined }, { data: other })).services.close()
      await rm(join(data, 'kek'), { force: true })
      await cp(join(other, 'kek'), join(data, 'kek'))
    },
    KEK_MALFORMED: async (data) => {
      await chmod(join(data, 'kek'), 0o600)
      await writeFile(join(data, 'kek'), 'short')
      await chmod(join(data, 'kek'), 0o400)
    },
  }
  for (const [code, steal] of Object.entries(CASES)) {
    const data = await folder(t)
    await cp(dir, data, { recursive: true })
    await steal(data)
    await t.rejects(openTestServer({ teardown: () => undefined }, { data }), { code }, code)
  }
})

await t.test('the folder of a server holds no token and no private key that anybody can read', async (t) => {
  const dir = await folder(t)
  const server = await openTestServer({ teardown: () => undefined }, { data: dir })
  await server.create()
  const token = await server.token({ actions: ['admin'] })
  await server.services.close()
  for (const name of await readdir(dir)) {
    const text = (await readFile(join(dir, name))).toString('latin1')
    t.notOk(text.includes(token.slice(4)) || /PRIVATE KEY/.test(text), name)
  }
})

await t.test('no token is in what a server logs or answers, right or wrong', async (t) => {
  const server = await startServer({ args: [] })
  t.teardown(async () => {
    await server.stop()
    await server.remove()
  })
  const made = await run(['token', 'create', '--data', server.data, '--repo', '**', '--allow', 'push', '--name', 'ci'])
  const token = made.stdout.trim()
  const ask = async (path: string, authorization: string) =>
    await (await fetch(server.url + path, { headers: { authorization } })).text()
  const basic = (secret: string) => `Basic ${Buffer.from(`ci:${secret}`).toString('base64')}`
  const access = (JSON.parse(await ask('/token', basic(token))) as { token: string }).token
  let answers = ''
  for (const bearer of [
    `Bearer ${token}`,
    `Bearer ${TOKEN}`,
    `Basic ${TOKEN}`,
    basic(TOKEN),
    basic(`${token}x`),
    `Bearer ${token} ${TOKEN}`,
    `Bearer ${access}`,
    `Bearer ${access}x`,
  ]) {
    for (const path of [
      `/v2/${REPO}/_trust/tuf/timestamp.key`,
      '/v1/tokens',
      `/v2/${REPO}/_trust/tuf/x.json?token=${TOKEN}`,
      `/v2/${REPO}/_trust/tuf/x.json?token=${access}`,
      '/v2/',
      '/nowhere',
    ]) {
      answers += await ask(path, bearer)
    }
  }
  const form = new URLSearchParams({ grant_type: 'password', username: 'ci', password: TOKEN })
  answers += await (await fetch(`${server.url}/token`, { method: 'POST', body: form })).text()
  await server.stop()
  const inBase64 = [token, TOKEN].map((secret) => basic(secret).slice(-40))
  for (const secret of [token.slice(4), TOKEN.slice(4), access.slice(3), ...access.split('.'), ...inBase64]) {
    t.notOk(server.log().includes(secret), 'in the log')
    t.notOk(answers.includes(secret), 'in an answer')
  }
})

await t.test('a token is in nothing that the command line says, whatever goes wrong', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  const path = join(lab.folder, 'token')
  const WRONG: Record<string, { token: string; status: number; code: string }> = {
    'the server refuses it': { token: TOKEN, status: 401, code: 'UNAUTHORIZED' },
    'it has a line break in it': { token: `${TOKEN}\r\nx-evil: 1`, status: 200, code: 'FILE_MALFORMED' },
    'it has letters that no header may have': { token: `${TOKEN}\u{1f4a5}`, status: 200, code: 'FILE_MALFORMED' },
  }
  for (const [name, { token, status, code }] of Object.entries(WRONG)) {
    await writeFile(path, token)
    lab.interfere = (_, response) => {
      if (status !== 200) response.writeHead(status).end()
      return status !== 200
    }
    const ran = await lab.command('1.0', { args: ['--verbose', '--token-file', path] })
    t.notOk((ran.stdout + ran.stderr).includes(TOKEN.slice(4)), name)
    t.equal(codeOf(ran), code, name)
  }
})

await t.test('secrets are given by file, never as an argument', async (t) => {
  for (const option of ['--token', '--passphrase', '--password']) {
    const ran = await tagseal(['verify', `${REPOSITORY}:1.0`, option, PASSPHRASE])
    t.same([ran.code, codeOf(ran)], [2, 'USAGE'], option)
    t.notMatch(ran.stdout + ran.stderr, PASSPHRASE)
  }
})

await t.test('a passphrase opens a key, and is neither kept nor told', async (t) => {
  const home = await folder(t)
  const [right, wrong] = [join(home, 'right'), join(home, 'wrong')]
  await writeFile(right, PASSPHRASE)
  await writeFile(wrong, `${PASSPHRASE}!`)
  const env = { TAGSEAL_HOME: join(home, 'tagseal'), HOME: home }
  await mkdir(env.TAGSEAL_HOME, { mode: 0o700 })
  const made = await tagseal(['key', 'generate', '--passphrase-file', right, '--json'], { env })
  t.equal(made.code, 0, made.stderr)
  const [, id = ''] = /"id": "([0-9a-f]{64})"/.exec(made.stdout) ?? []
  const opened = await tagseal(['key', 'export', id, '--private', '--passphrase-file', wrong, '--verbose'], { env })
  t.same([opened.code, codeOf(opened)], [1, 'PASSPHRASE_WRONG'])
  const said = made.stdout + made.stderr + opened.stdout + opened.stderr
  t.notOk(said.includes(PASSPHRASE) || /PRIVATE KEY/.test(said))
  for (const each of await readdir(env.TAGSEAL_HOME, { recursive: true, withFileTypes: true })) {
    if (each.isFile()) t.notMatch(await readFile(join(each.parentPath, each.name), 'latin1'), PASSPHRASE, each.name)
  }
})
