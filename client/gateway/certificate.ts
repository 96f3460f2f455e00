import { readUserFile } from '../files.ts'
import type { Tls } from './listen.ts'

export type CertificateFiles = { readonly cert: string; readonly key: string; readonly clientCa: string | undefined }
export type Certificate = { readonly tls: Tls; readonly files: readonly string[] }

const MAX_PEM = 4 * 1024 * 1024

/** Throws FILE_UNREADABLE. */
export async function readCertificate({ cert, key, clientCa }: CertificateFiles): Promise<Certificate> {
  const tls = {
    cert: await readUserFile(cert, MAX_PEM),
    key: await readUserFile(key, MAX_PEM),
    clientCa: clientCa === undefined ? undefined : await readUserFile(clientCa, MAX_PEM),
  }
  return { tls, files: [cert, key, ...(clientCa === undefined ? [] : [clientCa])] }
}
