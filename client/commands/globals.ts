import type { Environment, Settings } from '../settings.ts'
import { flag, list, text } from './declare.ts'
import type { AnyInput } from './declare.ts'
import { usage } from './errors.ts'

/** Options of every command, before or after its name. */
export const GLOBAL_OPTIONS = {
  home: text('DIR', 'keys, pins and state below this folder instead of the XDG folders (TAGSEAL_HOME)'),
  server: text('URL', 'the trust server (TAGSEAL_SERVER)'),
  ca: text('FILE', 'PEM of the authorities to trust for the trust server (TAGSEAL_CA); a pin keeps them'),
  'token-file': text('FILE', 'holds the token for the trust server (TAGSEAL_TOKEN_FILE; TAGSEAL_TOKEN)'),
  'passphrase-file': text('FILE', 'holds the passphrase of the keys (TAGSEAL_PASSPHRASE_FILE)'),
  'pin-file': text('FILE', 'holds the PIN of a PKCS#11 token (TAGSEAL_PIN_FILE)'),
  'registry-ca': text('FILE', 'PEM of the authorities to trust for registries'),
  'plain-http': list(
    '=HOST',
    'speak plain http: to this machine, or to the host that is named, on every port of it or as HOST:PORT on one',
  ),
  json: flag('print one JSON document'),
  quiet: flag('print results, warnings and errors only'),
  verbose: flag('say more of what is done'),
} as const

export function settingsFrom(input: AnyInput, env: Environment): Settings {
  const either = (option: string, variable: string) => input.text(option) ?? (env[variable] || undefined)
  return {
    home: either('home', 'TAGSEAL_HOME'),
    server: either('server', 'TAGSEAL_SERVER'),
    ca: either('ca', 'TAGSEAL_CA'),
    tokenFile: either('token-file', 'TAGSEAL_TOKEN_FILE'),
    token: env['TAGSEAL_TOKEN'] || undefined,
    passphraseFile: either('passphrase-file', 'TAGSEAL_PASSPHRASE_FILE'),
    pinFile: either('pin-file', 'TAGSEAL_PIN_FILE'),
    pkcs11Module: env['TAGSEAL_PKCS11_MODULE'] || undefined,
    registryCa: input.text('registry-ca'),
    plainHttp: plainHttpOf(input.list('plain-http')),
    given: { home: input.text('home'), ca: input.text('ca') },
    json: input.flag('json'),
    quiet: input.flag('quiet'),
    verbose: input.flag('verbose'),
  }
}

const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[^\s/:@?#[\]]+)(?::[0-9]{1,5})?$/

/** `--plain-http` alone has no host: it means this machine. */
function plainHttpOf(hosts: readonly string[]): boolean | readonly string[] {
  const named = hosts.filter((host) => host !== '')
  for (const host of named) if (!HOST.test(host)) throw usage(`${host} is no host`, 'write HOST, or HOST:PORT')
  return named.length > 0 ? named : hosts.length > 0
}
