/** What may be asked, and no member more. */
const PURPOSE = {
  repository: { type: 'string', minLength: 1, maxLength: 255 },
  role: { type: 'string', enum: ['timestamp', 'snapshot'] },
} as const
const KEYID = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const

function bodyOf<P extends Readonly<Record<string, object>>>(properties: P, ...optional: readonly string[]) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { body: { type: 'object', additionalProperties: false, required, properties } } as const
}

export const SIGN_REQUEST = bodyOf({
  ...PURPOSE,
  keyid: KEYID,
  dialect: { type: 'string', enum: ['tuf-1.0', 'notary-v1'] },
  file: { type: 'string', minLength: 1 },
})
export const KEY_REQUEST = bodyOf({ ...PURPOSE, unused: { type: 'boolean' } }, 'unused')
export const PUBLISHED = bodyOf({ ...PURPOSE, keyid: KEYID, version: { type: 'integer', minimum: 1 } })
