import { SignJWT, errors, importSPKI } from 'jose'
import type { CryptoKey } from 'jose'
import { sameBytes } from '../../keys/bytes.ts'
import type { Kek } from '../../keys/kek.ts'
import { writePem } from '../../keys/pem.ts'
import { randomName } from '../../keys/random.ts'
import { makeTokenKey, openTokenKey, readTokenKey } from '../../keys/token-key.ts'
import type { TokenKey } from '../../keys/token-key.ts'
import type { Settings } from '../config.ts'
import type { Store, TokenRecord } from '../storage/store.ts'
import type { Access } from './access.ts'
import { checkAccessToken } from './access-token.ts'
import type { CheckAccessToken } from './access-token.ts'
import type { Act } from './tokens.ts'

/** Issues access tokens and knows them again, also those that another process on the same storage issued. */
export type Issuer = {
  readonly issue: (wanted: WantedToken) => Promise<Issued>
  readonly check: CheckAccessToken
  /** PEM. With it others, such as a registry or a notary-server, check tokens of ours. */
  readonly certificate: () => Promise<string>
  /** Another key from here on: what the old one signed counts nowhere on this storage any more. */
  readonly renew: (act: Act) => Promise<void>
}
export type WantedToken = {
  /** Of the token that vouches for it; without one it is for anybody. */
  readonly holder?: Pick<TokenRecord, 'id' | 'name'>
  readonly service: string
  readonly access: readonly Access[]
}
/** Times in seconds. */
export type Issued = { readonly token: string; readonly issuedAt: number; readonly expiresIn: number }

type IssuerOptions = {
  readonly store: Store
  readonly kek: Kek
  readonly clock: () => number
  /** Our name as an issuer, the name of this server as a service, and how long tokens live. */
  readonly issuer: string
  readonly service: string
  readonly lifetime: number
}

const ALGORITHM = 'ES256'
const SETTING = 'token key'

type Opened = { readonly kept: Uint8Array; readonly key: TokenKey; readonly publicKey: CryptoKey }

export function issuerOf(settings: Settings, around: Pick<IssuerOptions, 'store' | 'kek' | 'clock'>): Issuer {
  const { tokenIssuer: issuer = 'tagseal-server', tokenService: service, tokenLifetime: lifetime } = settings
  return makeIssuer({ ...around, issuer, service, lifetime })
}

function makeIssuer(options: IssuerOptions): Issuer {
  const { store, kek, clock, issuer, service, lifetime } = options
  let opened: Opened | undefined
  // Looked up each time, as tokens are: another process may have renewed it.
  const ready = async () => {
    const kept = await keptKey(options)
    if (opened === undefined || !sameBytes(opened.kept, kept)) opened = await open(kept)
    return opened
  }
  return {
    async issue({ holder, service: audience, access }) {
      const { kept, key } = await ready()
      const now = Math.floor(clock() / 1000)
      const token = await new SignJWT({ access })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: key.kid, ...(audience === service ? {} : x5c(key)) })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(holder?.name ?? '')
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + lifetime)
        .setJti(tokenId(holder))
        .sign(await openTokenKey(kek, kept))
      return { token, issuedAt: now, expiresIn: lifetime }
    },
    async check(jwt) {
      const { key, publicKey } = await ready()
      return checkAccessToken(jwt, {
        issuer,
        audience: service,
        algorithms: [ALGORITHM],
        clock,
        async keyOf({ kid }) {
          if (kid !== key.kid) throw new errors.JWKSNoMatchingKey()
          return publicKey
        },
      })
    },
    async certificate() {
      return writePem('CERTIFICATE', (await ready()).key.certificate)
    },
    async renew(act) {
      const audit = { ...act, action: 'key.renew', subject: 'access tokens' }
      await store.settings.replace(SETTING, await makeTokenKey(kek, clock()), audit)
    },
  }
}

/** The id of the store's token stands in it, so that the one dies with the other. */
function tokenId(holder: WantedToken['holder']): string {
  return holder === undefined ? randomName() : `${holder.id}.${randomName()}`
}

/** The id of the store's token in a `jti` of ours; undefined in a token for anybody. */
export function holderIdOf(jti: string): string | undefined {
  const [id, random] = jti.split('.')
  return random === undefined ? undefined : id
}

/** Made by whichever process needs it first; the store keeps one. */
async function keptKey({ store: { settings }, kek, clock }: IssuerOptions): Promise<Uint8Array> {
  return (await settings.get(SETTING)) ?? (await settings.settle(SETTING, await makeTokenKey(kek, clock())))
}

async function open(kept: Uint8Array): Promise<Opened> {
  const key = readTokenKey(kept)
  return { kept, key, publicKey: await importSPKI(writePem('PUBLIC KEY', key.spki), ALGORITHM) }
}

/** For others: those who find a key by its certificate. We know ours by its name. */
function x5c({ certificate }: TokenKey): { readonly x5c: string[] } {
  return { x5c: [Buffer.from(certificate).toString('base64')] }
}
