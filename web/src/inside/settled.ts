import { useEffect, useState } from "react";

/** A value once it has stood still: who runs over tokens with the arrow keys asks the server for none of them. */
export function useSettled<T>(value: T, ms = 300): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
