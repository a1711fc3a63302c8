// Three ducks of different colors, poses and grounds. povray +Iducks.pov +Oducks1.png +W480 +H360 +A0.1 Declare=N=1 (or 2, 3)
#version 3.7;
#ifndef (N) #declare N = 1; #end
global_settings { assumed_gamma 1 max_trace_level 8 }
#declare R = seed(40 + N);

// Colors of each duck: head, body from dark to light, wing, breast, bill.
#switch (N)
  #case (1) #declare HeadColor = <0.03, 0.22, 0.11>; #declare Dark = <0.33, 0.31, 0.30>; #declare Light = <0.72, 0.70, 0.67>; #declare WingColor = <0.42, 0.33, 0.25>; #declare BreastColor = <0.30, 0.13, 0.07>; #declare BillColor = <0.80, 0.62, 0.10>; #break
  #case (2) #declare HeadColor = <0.05, 0.10, 0.28>; #declare Dark = <0.45, 0.36, 0.26>; #declare Light = <0.80, 0.70, 0.55>; #declare WingColor = <0.50, 0.40, 0.30>; #declare BreastColor = <0.36, 0.17, 0.08>; #declare BillColor = <0.85, 0.45, 0.08>; #break
  #else     #declare HeadColor = <0.20, 0.07, 0.03>; #declare Dark = <0.50, 0.50, 0.50>; #declare Light = <0.90, 0.89, 0.86>; #declare WingColor = <0.38, 0.38, 0.40>; #declare BreastColor = <0.16, 0.10, 0.08>; #declare BillColor = <0.78, 0.58, 0.12>; #break
#end
#declare Plumage = texture { pigment { bozo scale <0.16, 0.05, 0.1> turbulence 0.4 color_map { [0 rgb Dark] [0.5 rgb (Dark + Light) / 2] [1 rgb Light] } } normal { bumps 0.6 scale <0.08, 0.03, 0.05> } }
#declare Breast = texture { pigment { bozo scale 0.08 color_map { [0 rgb BreastColor] [1 rgb BreastColor * 1.6] } } normal { bumps 0.5 scale 0.04 } }
#declare Wing = texture { pigment { gradient x scale 0.14 turbulence 0.25 color_map { [0 rgb WingColor] [0.6 rgb WingColor * 1.35] [1 rgb WingColor * 0.45] } } normal { bumps 0.6 scale <0.05, 0.02, 0.05> } }
#declare Head = texture { pigment { bozo scale 0.1 color_map { [0 rgb HeadColor * 0.8] [1 rgb HeadColor * 1.6] } } finish { specular 0.5 roughness 0.05 } }
#declare Bill = texture { pigment { rgb BillColor } finish { specular 0.4 } }

// A duck that looks to the left: neck of length Neck, leaning forward by Lean degrees, legs of length Legs (0 on water).
#macro Duck(Neck, Lean, Legs)
  union {
    blob { threshold 0.5
      sphere { 0, 1, 1.4 scale <1.7, 0.85, 1.0> translate <0.2, 0.35, 0> texture { Plumage } }
      sphere { 0, 0.75, 1.2 scale <1, 1, 0.95> translate <-0.75, 0.45, 0> texture { Breast } }
      cylinder { <1.1, 0.55, 0>, <1.75, 0.85, 0>, 0.34, 1 texture { Plumage } } }
    sphere { 0, 1 scale <0.85, 0.34, 0.2> rotate z * 8 translate <0.35, 0.62, -0.62> texture { Wing } }
    sphere { 0, 1 scale <0.85, 0.34, 0.2> rotate z * 8 translate <0.35, 0.62, 0.62> texture { Wing } }
    union {
      blob { threshold 0.5
        cylinder { <0, 0, 0>, <-0.12, Neck, 0>, 0.44, 1.1 }
        sphere { <-0.22, Neck + 0.16, 0>, 0.6, 1.35 }
        texture { Head } }
      torus { 0.29, 0.05 rotate z * -10 translate <-0.03, 0.2, 0> pigment { rgb 0.9 } }
      sphere { 0, 1 scale <0.36, 0.08, 0.17> rotate z * 6 translate <-0.75, Neck + 0.06, 0> texture { Bill } }
      sphere { <-0.36, Neck + 0.27, -0.3>, 0.055 pigment { rgb 0.02 } finish { specular 1 roughness 0.01 } }
      sphere { <-0.36, Neck + 0.27, 0.3>, 0.055 pigment { rgb 0.02 } finish { specular 1 roughness 0.01 } }
      rotate z * Lean translate <-0.85, 0.72, 0> }
    #if (Legs > 0)
      cylinder { <0.1, -0.2, -0.3>, <0.05, -0.42 - Legs, -0.32>, 0.06 texture { Bill } }
      cylinder { <0.3, -0.2, 0.3>, <0.38, -0.42 - Legs, 0.32>, 0.06 texture { Bill } }
      sphere { 0, 1 scale <0.28, 0.04, 0.16> translate <-0.08, -0.42 - Legs, -0.32> texture { Bill } }
      sphere { 0, 1 scale <0.28, 0.04, 0.16> translate <0.25, -0.42 - Legs, 0.32> texture { Bill } }
      translate y * (0.44 + Legs)
    #end
  }
#end

#if (N = 1)
  // On a pond before reeds.
  camera { location <0.2, 1.9, -6.3> look_at <0, 0.75, 0> angle 42 }
  light_source { <18, 26, -18> rgb <1, 0.97, 0.9> * 1.25 area_light <4,0,0>, <0,4,0>, 4, 4 adaptive 1 jitter }
  light_source { <-15, 10, -12> rgb <0.22, 0.27, 0.34> shadowless }
  sky_sphere { pigment { bozo scale <0.5, 0.15, 0.5> turbulence 0.7 color_map { [0.4 rgb <0.45, 0.6, 0.8>] [0.7 rgb <0.85, 0.88, 0.9>] } } }
  plane { y, 0 pigment { bozo scale 2 turbulence 0.6 color_map { [0 rgb <0.06, 0.13, 0.13>] [1 rgb <0.14, 0.22, 0.17>] } } normal { bumps 0.35 scale <0.7, 1, 0.22> turbulence 0.3 } finish { reflection { 0.08, 0.6 fresnel } conserve_energy specular 0.3 roughness 0.02 } interior { ior 1.33 } }
  #declare I = 0; #while (I < 1500)
    #local X = (rand(R) - 0.5) * 20; #local Z = 4.5 + 6 * rand(R); #local H = 1.2 + 2.6 * rand(R);
    cone { <X, -0.1, Z>, 0.035, <X + (rand(R) - 0.5) * 0.9, H, Z + (rand(R) - 0.5)>, 0.004 pigment { rgb <0.25 + 0.35 * rand(R), 0.3 + 0.25 * rand(R), 0.1> } }
    #declare I = I + 1; #end
  object { Duck(0.75, 8, 0) translate <0.1, 0, 0> }
#end
#if (N = 2)
  // In a meadow before a hedge, looking to the right.
  camera { location <-0.6, 2.1, -7.2> look_at <-0.1, 1.2, 0> angle 44 }
  light_source { <-20, 30, -25> rgb <1, 0.95, 0.85> * 1.3 area_light <4,0,0>, <0,4,0>, 4, 4 adaptive 1 jitter }
  light_source { <20, 8, -10> rgb <0.25, 0.3, 0.4> shadowless }
  sky_sphere { pigment { gradient y color_map { [0 rgb <0.75, 0.82, 0.9>] [0.6 rgb <0.3, 0.5, 0.8>] } } }
  plane { y, 0 pigment { bozo scale 0.35 turbulence 0.8 color_map { [0 rgb <0.10, 0.16, 0.05>] [1 rgb <0.2, 0.26, 0.08>] } } normal { bumps 0.9 scale 0.08 } }
  #declare I = 0; #while (I < 8000)
    #local Z = -3.4 + 9 * pow(rand(R), 1.4); #local X = (rand(R) - 0.5) * (7 + Z * 0.8); #local H = 0.1 + 0.22 * rand(R);
    cone { <X, 0, Z>, 0.022, <X + (rand(R) - 0.5) * 0.25, H, Z + (rand(R) - 0.5) * 0.2>, 0.002 pigment { rgb <0.13 + 0.18 * rand(R), 0.3 + 0.2 * rand(R), 0.06> } }
    #declare I = I + 1; #end
  #declare I = 0; #while (I < 900)
    sphere { <(rand(R) - 0.5) * 26, 0.2 + 6 * rand(R), 8.5 + 9 * rand(R)>, 0.25 + 0.4 * rand(R) pigment { bozo scale 0.1 color_map { [0 rgb <0.04, 0.12, 0.03>] [1 rgb <0.2, 0.36 + 0.12 * rand(R), 0.1>] } } normal { bumps 1.2 scale 0.07 } }
    #declare I = I + 1; #end
  object { Duck(0.95, -4, 0.3) rotate y * 168 translate <-0.1, 0, 0> }
#end
#if (N = 3)
  // On a beach before the sea.
  camera { location <0.8, 2.5, -6.8> look_at <0.1, 1.0, 0> angle 43 }
  light_source { <14, 28, -20> rgb <1, 0.96, 0.9> * 1.2 area_light <4,0,0>, <0,4,0>, 4, 4 adaptive 1 jitter }
  light_source { <-18, 9, -10> rgb <0.25, 0.28, 0.33> shadowless }
  sky_sphere { pigment { bozo scale <0.6, 0.12, 0.6> turbulence 0.7 color_map { [0.4 rgb <0.5, 0.64, 0.82>] [0.7 rgb <0.86, 0.88, 0.9>] } } }
  plane { y, 0 pigment { bozo scale 0.25 turbulence 0.8 color_map { [0 rgb <0.50, 0.40, 0.26>] [1 rgb <0.66, 0.55, 0.38>] } } normal { bumps 0.7 scale 0.06 } }
  #declare I = 0; #while (I < 700)
    sphere { <(rand(R) - 0.5) * 11, 0, -3.5 + 8 * rand(R)>, 0.02 + 0.05 * rand(R) pigment { rgb <0.5, 0.44, 0.36> * (0.5 + 0.7 * rand(R)) } normal { bumps 0.6 scale 0.03 } }
    #declare I = I + 1; #end
  // Sea from here on.
  box { <-3000, -1, 6>, <3000, 0.02, 9000> pigment { rgb <0.07, 0.17, 0.20> } normal { bumps 0.4 scale <0.9, 1, 0.25> turbulence 0.3 } finish { reflection { 0.05, 0.5 fresnel } conserve_energy specular 0.3 roughness 0.03 } interior { ior 1.33 } }
  object { Duck(0.55, 26, 0.3) rotate y * 14 translate <0.2, 0, 0> }
#end
