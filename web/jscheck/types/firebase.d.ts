// The part of the Firebase SDK that the studio uses: https://firebase.google.com/docs/reference/js/auth
declare namespace Firebase {
  interface App {
    readonly name: string;
  }

  interface Options {
    apiKey: string;
    authDomain?: string;
    projectId?: string;
  }

  interface Auth {
    readonly currentUser: User | null;
    languageCode: string | null;
  }

  interface User {
    readonly uid: string;
    readonly email: string | null;
    readonly displayName: string | null;
    getIdToken(forceRefresh?: boolean): Promise<string>;
    getIdTokenResult(): Promise<{ token: string; expirationTime: string }>;
  }

  interface SDK {
    initializeApp(options: Options): App;
    initializeAuth(app: App, options: { persistence: object[]; popupRedirectResolver: object }): Auth;
    indexedDBLocalPersistence: object;
    browserLocalPersistence: object;
    browserPopupRedirectResolver: object;
    connectAuthEmulator(auth: Auth, url: string, options: { disableWarnings: boolean }): void;
    onIdTokenChanged(auth: Auth, next: (user: User | null) => void): () => void;
    signInWithEmailAndPassword(auth: Auth, email: string, password: string): Promise<unknown>;
    createUserWithEmailAndPassword(auth: Auth, email: string, password: string): Promise<unknown>;
    GoogleAuthProvider: new () => object;
    signInWithPopup(auth: Auth, provider: object): Promise<unknown>;
    sendPasswordResetEmail(auth: Auth, email: string): Promise<void>;
    signOut(auth: Auth): Promise<void>;
  }
}
