import { Command } from 'commander'
import type { Value } from '../config.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import { ONLINE_ROLES } from '../signing/online-keys.ts'
import { lockData } from '../storage/sqlite.ts'
import type { OnlineRole } from '../storage/store.ts'
import { loadSignerSettings } from './config.ts'
import type { SignerSettings } from './config.ts'
import { openSignerStore } from './store.ts'
import type { SignerStore } from './store.ts'

export type SignerCommandDeps = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (line: string) => void
  readonly clock: () => number
  /** Resolves when it has stopped. */
  readonly serve: (settings: SignerSettings) => Promise<void>
}

type Options = { readonly config?: string } & Readonly<Record<string, Value>>

/** `tagseal-server signer …`: the process that has the keys, and does not face the network. */
export function signerCommand({ env, out, clock, serve }: SignerCommandDeps): Command {
  const settingsOf = (command: Command) => {
    const { config, ...flags } = command.optsWithGlobals<Options>()
    return loadSignerSettings({ flags, env, ...(config === undefined ? {} : { file: config }) })
  }
  const signer = new Command('signer')
    .description('keeps the keys of a tagseal-server, and signs nothing but the next snapshot and timestamp')
    .option('--config <file>', 'settings as one JSON object')
    .option('--data <dir>', 'folder of the keys and of what was signed')
    .option('--listen <place>', 'unix:/path/to/socket, or host:port with TLS')
    .option('--socket-mode <mode>', '0600, or 0660 where the server is of another user and the same group')
    .option('--tls-cert <file>', 'certificate chain (PEM); read again on SIGHUP')
    .option('--tls-key <file>', 'private key of the certificate (PEM)')
    .option('--client-ca <file>', 'authority (PEM) of the certificates of those who may ask')
    .option('--kek-file <file>', 'key-encryption key of this folder')
    .option('--online-keys <place>', 'where keys are made: sealed, pkcs11:... or exec:...')
    .addHelpText(
      'after',
      '\nExample:\n  tagseal-server signer --data /var/lib/tagseal-signer --listen unix:/run/tagseal/signer.sock',
    )
    .exitOverride()
    .action(async (_options: object, command: Command) => await serve(settingsOf(command)))

  signer
    .command('advance <repository> <role> <version>')
    .description(
      'sign nothing up to this version any more: for a signer that was restored, or a name that comes from far',
    )
    .option('--config <file>', 'settings as one JSON object')
    .option('--data <dir>', 'folder of the signer, which must not run')
    .option('--new', 'also for a repository that this signer has no key of')
    .option('--yes', 'also by more than versionBurst: it cannot be taken back')
    .addHelpText(
      'after',
      '\nExample:\n  tagseal-server signer advance registry.example.com/team/app timestamp 1200 --data /var/lib/tagseal-signer',
    )
    .exitOverride()
    .action(async (repository: string, role: string, version: string, sure: Sure, command: Command) => {
      const wanted = {
        repository: repositoryName(repository),
        role: roleOf(role),
        version: versionOf(version),
        ...sure,
      }
      const settings = settingsOf(command)
      const lock = lockData(settings.data)
      try {
        advance(settings, wanted, clock())
      } finally {
        lock.release()
      }
      out(`nothing up to ${wanted.role} ${wanted.version} of ${wanted.repository} is signed any more`)
    })
  return signer
}

type Sure = { readonly new?: true; readonly yes?: true }
type Wanted = Sure & { readonly repository: string; readonly role: OnlineRole; readonly version: number }

/** Nothing takes it back, so that neither a name nor a number that was mistyped goes through. */
function refuseMistyped(store: SignerStore, most: number, wanted: Wanted): void {
  const { repository, role, version } = wanted
  const isKnown = ONLINE_ROLES.some((each) => store.keys(repository, each).length > 0)
  if (!isKnown && wanted.new !== true) {
    throw refusal(`this signer has no key of ${repository}; where it is to get one, say --new`)
  }
  const last = store.mark(repository, role)?.version ?? 0
  if (version - last > most && wanted.yes !== true) {
    throw refusal(
      `from ${last} to ${version} is more than ${most} versions, and cannot be taken back; if it is meant, say --yes`,
    )
  }
}

function refusal(reason: string): Problem {
  return new Problem('INVALID_REQUEST', { reason })
}

function advance({ data, versionBurst }: SignerSettings, wanted: Wanted, now: number): void {
  const { repository, role, version } = wanted
  const store = openSignerStore(data)
  try {
    refuseMistyped(store, versionBurst, wanted)
    const mark = { version, sha256: '', credit: versionBurst, creditAt: now }
    if (store.advance(repository, role, mark)) return
    const last = store.mark(repository, role)?.version ?? 0
    throw refusal(`${role} of ${repository} is at ${last}, and goes up alone`)
  } finally {
    store.close()
  }
}

function roleOf(text: string): OnlineRole {
  if (text === 'timestamp' || text === 'snapshot') return text
  throw refusal(`the signer signs timestamp and snapshot, not ${text.slice(0, 40)}`)
}

function versionOf(text: string): number {
  const version = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(version) && version >= 1) return version
  throw refusal(`${text.slice(0, 40)} is no version`)
}
