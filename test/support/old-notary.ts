import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startNotaryServer } from './notary-server.ts'
import { runProgram } from './program.ts'
import { makeCertificate } from './tls.ts'

export type OldNotaryWish = {
  readonly dir: string
  /** Becomes `~/.docker/trust` of somebody. */
  readonly trustDir: string
  readonly repository: string
  /** Tags to what they mean. */
  readonly tags: ReadonlyMap<string, { readonly digest: string; readonly size: number }>
  /** Of every key. */
  readonly passphrase: string
}

/** The original server with one repository that the original client signed. The caller stops it. */
export async function openOldNotary({ dir, trustDir, repository, tags, passphrase }: OldNotaryWish) {
  const certificate = await makeCertificate(join(dir, 'notary-tls'))
  const server = await startNotaryServer(certificate)
  const config = join(dir, 'notary.json')
  const remote = { url: server.url, root_ca: certificate.ca }
  await writeFile(config, JSON.stringify({ trust_dir: trustDir, remote_server: remote }))
  const env = {
    ...process.env,
    HOME: dir,
    NOTARY_ROOT_PASSPHRASE: passphrase,
    NOTARY_TARGETS_PASSPHRASE: passphrase,
    NOTARY_SNAPSHOT_PASSPHRASE: passphrase,
  }
  const notary = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await runProgram('notary', ['-c', config, ...args], { env })
    if (code !== 0) throw new Error(`notary ${args.join(' ')}: ${stdout}${stderr}`)
  }
  await notary('init', '-p', repository)
  for (const [tag, { digest, size }] of tags) {
    await notary('addhash', '-p', repository, tag, String(size), '--sha256', digest.replace('sha256:', ''))
  }
  return { url: server.url, ca: certificate.ca, stop: server.stop }
}
