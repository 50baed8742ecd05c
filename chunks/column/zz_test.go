package column
import ("testing";"fmt";"time";"sort")
func TestBreak(t *testing.T){
 for _,name:=range []string{"goapp_1s","goapp_15s"} { for _,lv:=range []Level{Fast,Balanced} {
 s:=seal(t,dataSet(t,name),lv)
 type agg struct{ns float64;n,samples,bytes int}
 m:=map[string]*agg{}
 var r CellReader
 dst:=make([]float64,1024)
 for _,src:=range s.cells { r.Open(src,Limits{}); for i:=range r.Len() {
   c,kind,_:=r.column(i); c0:=r.cursorAt(i); self:=c0.src[c0.off]&15
   key:=fmt.Sprint("kind",self)
   n:=r.length(i)
   if kind==kindDecimal { h:=readDecimal(&c,n); key+=fmt.Sprintf(" ulps=%v e>0=%v pred%d form%d",h.ulps,h.exponent>0,c.src[c.off]&3,c.src[c.off]>>4) }
   if kind==kindBucketDiff { c.uvarint(); f:=c.u8(); if f!=0 {c.skipExceptions(n)}; key+=fmt.Sprintf(" pred%d form%d",c.src[c.off]&3,c.src[c.off]>>4) }
   best:=time.Hour
   if i>0 { r.Values(dst,i-1) }
   for k:=0;k<5;k++ { if kind==kindBucketDiff {r.Values(dst,i-1)}; t0:=time.Now(); r.Values(dst,i); best=min(best,time.Since(t0)) }
   a:=m[key]; if a==nil {a=&agg{};m[key]=a}; a.ns+=float64(best.Nanoseconds())-40; a.n++; a.samples+=n; a.bytes+=int(r.entries[i].end-r.entries[i].start)
 } }
 var keys []string; tot:=0.0; for k:=range m {keys=append(keys,k);tot+=m[k].ns}; sort.Slice(keys,func(i,j int)bool{return m[keys[i]].ns>m[keys[j]].ns})
 fmt.Println(name,lv,"total ns/sample",tot/float64(s.samples))
 for _,k:=range keys[:min(16,len(keys))] { a:=m[k]; fmt.Printf("  %-45s n %5d samples %4.1f%% ns/sample %.2f time %.1f%% B/sample %.2f\n",k,a.n,100*float64(a.samples)/float64(s.samples),a.ns/float64(a.samples),100*a.ns/tot,float64(a.bytes)/float64(a.samples)) }
 }}
}
