// The fields of an ErrorResponse or NoticeResponse, as PostgreSQL names them; kept whole so that nothing is lost in passing.

export interface SqlError {
  /** ERROR, FATAL, PANIC, WARNING, NOTICE … (never localised: field V). */
  readonly severity: string;
  /** SQLSTATE, five characters. */
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** Position in the client's text, 1-based characters. */
  readonly position?: string | undefined;
  /** Every other field by its one-letter code (W where, s schema, t table, c column, d type, n constraint, F R L …). */
  readonly other?: Readonly<Record<string, string>> | undefined;
}

/** SQLSTATEs that the product itself raises or classifies; one place, so that they are spelled once. */
export const SQLSTATE = {
  warning: '01000',
  protocolViolation: '08P01',
  connectionFailure: '08006',
  cannotConnect: '08001',
  transactionResolutionUnknown: '08007',
  featureNotSupported: '0A000',
  invalidTransactionState: '25000',
  inFailedTransaction: '25P02',
  noActiveTransaction: '25P01',
  activeTransaction: '25001',
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  invalidStatementName: '26000',
  invalidCursorName: '34000',
  invalidCatalogName: '3D000',
  undefinedObject: '42704',
  deadlockDetected: '40P01',
  insufficientPrivilege: '42501',
  syntaxError: '42601',
  duplicatePreparedStatement: '42P05',
  diskFull: '53100',
  tooManyConnections: '53300',
  configurationLimitExceeded: '53400',
  programLimitExceeded: '54000',
  objectNotInPrerequisiteState: '55000',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
  ioError: '58030',
  configFileError: 'F0000',
  internalError: 'XX000',
} as const;

/** An ERROR of our own with the given SQLSTATE. */
export function sqlError(code: string, message: string, rest: Partial<SqlError> = {}): SqlError {
  return { severity: 'ERROR', code, message, ...rest };
}
