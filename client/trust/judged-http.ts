import { HttpError, isHttpError, refusesCertificate } from '../http-errors.ts'
import type { Http } from '../http.ts'

/** By the authorities of a file that this run named: where they do not vouch for a server, whoever named it hears of it. */
export function byGivenCa(http: Http, given: string): Http {
  return {
    async send(request) {
      try {
        return await http.send(request)
      } catch (error) {
        if (!isHttpError(error) || error.code !== 'NETWORK' || !refusesCertificate(error.detail.reason)) throw error
        throw new HttpError('NETWORK', { ...error.detail, given }, { cause: error.cause })
      }
    },
    close: http.close,
  }
}
