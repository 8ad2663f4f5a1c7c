import { create } from "zustand";

/** Where pages put their own controls on phones: an element of the top bar, once it is there. */
export const useTopBarPlace = create<{ element: HTMLElement | null }>(() => ({ element: null }));

export const setTopBarPlace = (element: HTMLElement | null): void => useTopBarPlace.setState({ element });
