import { readUserFile } from '../files.ts'
import { type Credentials, NO_CREDENTIALS, Secret } from '../registry/credentials.ts'
import type { Login } from './rules.ts'

const MAX_PASSWORD = 64 * 1024

/** The login that a policy names. Its file is read each time one is needed, so that a new password counts at once. */
export function loginOf(login: Exclude<Login, { readonly kind: 'docker' }>): Credentials {
  if (login.kind === 'none') return NO_CREDENTIALS
  return {
    async find() {
      const text = Buffer.from(await readUserFile(login.passwordFile, MAX_PASSWORD)).toString('utf8')
      return { kind: 'basic', username: login.username, password: new Secret(text.replace(/\r?\n$/, '')) }
    },
  }
}
