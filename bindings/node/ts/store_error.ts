import { OtpGrantError } from './errors.js';

/** A store's server gave no usable answer. It reveals neither what is stored nor under which key. */
export class StoreError extends OtpGrantError {
  /** Whether the same call can succeed later, without a change of a record or of the configuration. */
  readonly isRetryable: boolean;

  /** `code` is `connection`, `timeout`, `refused`, `unexpected_answer` or `configuration`. */
  constructor(code: string, message: string, isRetryable: boolean) {
    super(code, message);
    this.isRetryable = isRetryable;
  }
}
