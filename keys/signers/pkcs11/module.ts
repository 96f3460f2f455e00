import type * as Addon from 'pkcs11js'
import type { PKCS11 } from 'pkcs11js'
import { KeyError } from '../../errors.ts'
import { safeFile } from '../safe-file.ts'
import { CKF } from './constants.ts'

/** A loaded module: native code of whoever made the token, in this process (ADR 0020). */
export type Module = { readonly cryptoki: PKCS11; readonly path: string; readonly close: () => void }

/** A library is initialised once in a process, whoever uses it there, and ended with the last of them. */
const LOADED = new Map<string, { readonly cryptoki: PKCS11; users: number }>()

/** Loads `pkcs11js` and with it the module at `path`. Throws SIGNER_UNAVAILABLE and KEY_PERMISSIONS. */
export async function loadModule(path: string, addon: () => Promise<AddonModule> = importAddon): Promise<Module> {
  const signer = `the PKCS#11 module ${path}`
  const real = safeFile(path, signer, 'read')
  const { PKCS11 } = await loadAddon(addon)
  const loaded = LOADED.get(real) ?? { cryptoki: initialised(new PKCS11(), real, signer), users: 0 }
  LOADED.set(real, loaded)
  loaded.users += 1
  return {
    cryptoki: loaded.cryptoki,
    path,
    close() {
      loaded.users -= 1
      if (loaded.users > 0) return
      LOADED.delete(real)
      loaded.cryptoki.C_Finalize()
      loaded.cryptoki.close()
    },
  }
}

function initialised(cryptoki: PKCS11, path: string, signer: string): PKCS11 {
  try {
    cryptoki.load(path)
    cryptoki.C_Initialize({ flags: CKF.osLocking })
    return cryptoki
  } catch (error) {
    throw new KeyError('SIGNER_UNAVAILABLE', { signer, why: `it does not load: ${reasonOf(error)}` }, { cause: error })
  }
}

/** What the module answers, in its own word: `CKR_PIN_INCORRECT`. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return /CKR_[A-Z0-9_]+/.exec(message)?.[0] ?? message.split('\n')[0] ?? 'it failed'
}

type AddonModule = { readonly default: typeof Addon }

/** Only here, and only when a token is named: most installations have none, and the add-on is compiled where it runs. */
function importAddon(): Promise<AddonModule> {
  return import('pkcs11js')
}

async function loadAddon(addon: () => Promise<AddonModule>): Promise<typeof Addon> {
  try {
    return (await addon()).default
  } catch (error) {
    throw new KeyError(
      'SIGNER_UNAVAILABLE',
      {
        signer: 'PKCS#11',
        why: 'its add-on pkcs11js is not built here; with a C++ compiler: npm rebuild pkcs11js --ignore-scripts=false',
      },
      { cause: error },
    )
  }
}
