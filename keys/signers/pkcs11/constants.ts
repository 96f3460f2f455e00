/** The numbers of PKCS#11 3.0 that we use. */
export const CKO = { publicKey: 2, privateKey: 3 } as const
export const CKK = { rsa: 0x00, ec: 0x03, edwards: 0x40 } as const
export const CKU = { user: 1, contextSpecific: 2 } as const
export const CKG_MGF1_SHA256 = 2
export const CKA = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  modulus: 0x120,
  modulusBits: 0x121,
  publicExponent: 0x122,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const
export const CKM = {
  rsaGenerate: 0x0,
  rsaPss: 0xd,
  sha256: 0x250,
  ecGenerate: 0x1040,
  ecdsa: 0x1041,
  edwardsGenerate: 0x1055,
  eddsa: 0x1057,
} as const
/** Of sessions and of tokens. */
export const CKF = {
  osLocking: 2,
  rwSession: 2,
  serialSession: 4,
  loginRequired: 0x4,
  protectedPath: 0x100,
  pinFinalTry: 0x20000,
  pinLocked: 0x40000,
} as const
