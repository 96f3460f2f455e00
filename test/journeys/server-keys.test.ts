/** The server's own keys are outside of it: the real programs create, publish, re-sign and rotate, and stock clients agree. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { Updater } from 'tuf-js'
import { openSqliteStore } from '../../server/storage/sqlite.ts'
import { buildImage } from '../support/images.ts'
import { whyNoRegistry } from '../support/registry.ts'
import type { TestServerOptions } from '../support/server.ts'
import { privateFolder } from '../support/secrets.ts'
import { startSignerProcess, startTlsSigner } from '../support/signer-process.ts'
import { exampleProgram, startToken, whyNoTokens } from '../support/signers.ts'
import { whyNoOpenssl } from '../support/tls.ts'
import { openTown, pinFrom } from '../support/town.ts'

/** Settings of a server, and what its records call keys that are kept so. */
type Place = { readonly options: TestServerOptions; readonly kind: string }

const skip = (await whyNoRegistry()) ?? false
const PLACES: Record<string, { readonly open: (t: Test) => Promise<Place>; readonly skip: string | false }> = {
  'on a PKCS#11 token': { open: tokenPlace, skip: skip || (whyNoTokens() ?? false) },
  'behind the openssl example, by a signer on a socket': { open: socketPlace, skip },
  'on a token, by a signer behind mutual TLS': {
    open: tlsPlace,
    skip: skip || ((await whyNoOpenssl()) ?? whyNoTokens() ?? false),
  },
}

for (const [name, { open, skip: why }] of Object.entries(PLACES)) {
  await t.test(`the keys of a server ${name}`, { skip: why }, async (t) => {
    const { options, kind } = await open(t)
    const data = privateFolder(t)
    const town = await openTown({ ...options, data })
    t.teardown(town.close)
    const { repository } = town
    const [owner, consumer] = [await town.person(), await town.person()]
    const image = await town.push('1.0', buildImage())
    const run = async (...args: string[]) => {
      const ran = await owner.run(args)
      t.equal(ran.code, 0, `${args.slice(0, 2).join(' ')}: ${ran.stderr}`)
      return ran
    }
    const verified = async () => (await consumer.run(['verify', `${repository}:1.0`])).stdout.trim()

    await t.test('sign what is published', async (t) => {
      const made = await run('init', repository, '--no-passphrase')
      await run('sign', `${repository}:1.0`)
      t.equal((await consumer.run(pinFrom(made))).code, 0)
      t.equal(await verified(), `${repository}@${image.digest}`)
    })
    await t.test('sign anew ahead of expiry', async (t) => {
      const url = `${town.server.url}/v2/${repository}/_trust/tuf/timestamp.json`
      const version = async () => ((await (await fetch(url)).json()) as { signed: { version: number } }).signed.version
      const before = await version()
      while ((await version()) === before) await sleep(100)
      t.equal(await verified(), `${repository}@${image.digest}`)
    })
    await t.test('are rotated, and consumers and tuf-js follow', async (t) => {
      await run('rotate', repository, 'timestamp')
      await run('rotate', repository, 'snapshot')
      t.equal(await verified(), `${repository}@${image.digest}`)
      const updater = await stockClient(t, town.server.url, repository)
      t.equal(`sha256:${(await updater.getTargetInfo('1.0'))?.hashes['sha256']}`, image.digest)
    })
    await t.test('are not in its database', async (t) => {
      await town.server.stop()
      for (const file of readdirSync(data)) {
        t.notMatch(readFileSync(join(data, file), 'latin1'), /PRIVATE KEY/, file)
      }
      const store = await openSqliteStore({ dir: data })
      t.teardown(() => store.close())
      for (const role of ['timestamp', 'snapshot'] as const) {
        const [record, ...more] = await store.keys.list(repository, role)
        t.same([record?.sealed, record?.signer?.split(':')[0], more], [undefined, kind, []])
      }
    })
  })
}

async function tokenPlace(t: Test): Promise<Place> {
  const { place, env } = newToken(t)
  return placed('pkcs11', place, env)
}

async function socketPlace(t: Test): Promise<Place> {
  const place = `exec:${exampleProgram(t)}?arg=${encodeURIComponent(privateFolder(t))}`
  const { url } = await startSignerProcess(t, { args: ['--online-keys', place] })
  return placed('signer', url)
}

async function tlsPlace(t: Test): Promise<Place> {
  const { place, env } = newToken(t)
  const { url, signerCa, signerCert, signerKey } = await startTlsSigner(t, { args: ['--online-keys', place], env })
  return placed('signer', url, {
    TAGSEAL_SERVER_SIGNER_CA: signerCa,
    TAGSEAL_SERVER_SIGNER_CERT: signerCert,
    TAGSEAL_SERVER_SIGNER_KEY: signerKey,
  })
}

function newToken(t: Test) {
  const { module, pinFile, env } = startToken(t)
  const place = `pkcs11:token=release?module-path=${module}&pin-source=file:${pinFile}`
  return { place, env: { SOFTHSM2_CONF: env.SOFTHSM2_CONF } }
}

function placed(kind: string, onlineKeys: string, env: Readonly<Record<string, string>> = {}): Place {
  const settings = { TAGSEAL_SERVER_ONLINE_KEYS: onlineKeys, TAGSEAL_SERVER_TIMESTAMP_LIFETIME: '8' }
  return { kind, options: { env: { ...settings, ...env } } }
}

/** A tuf-js client that was given the repository's first root. */
async function stockClient(t: Test, server: string, repository: string): Promise<Updater> {
  const metadataBaseUrl = `${server}/v2/${repository}/_trust/tuf`
  const metadataDir = join(t.testdir(), 'metadata')
  mkdirSync(metadataDir)
  const first = await fetch(`${metadataBaseUrl}/1.root.json`)
  writeFileSync(join(metadataDir, 'root.json'), Buffer.from(await first.arrayBuffer()))
  const updater = new Updater({ metadataDir, metadataBaseUrl })
  await updater.refresh()
  return updater
}
